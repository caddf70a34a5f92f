/* y (+)= keep ? x / (1 - p) : 0 */
#include "common.h"
#include "philox.h"


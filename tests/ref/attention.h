/* Multi-head attention in double precision, the T x T matrix written out. */
#ifndef BF_TESTS_REF_ATTENTION_H
#define BF_TESTS_REF_ATTENTION_H

typedef struct ref_attention {
    int batch, len, heads, head_dim;
    int thirds, causal; /* thirds: [q | k | v] each of all heads; else [q | k | v] within each head */
    const double *qkv;
} ref_attention;

/* lse [B,heads,T] may be NULL. */
void ref_attention_forward(const ref_attention *s, double *y, double *lse);

#endif

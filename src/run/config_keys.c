/* The table of configuration keys: the only place that knows names, types, ranges and defaults. */
#include <stddef.h>

#include "base/size.h"
#include "run/config.h"

#define AT(field) offsetof(bf_config, field)
#define BOOL(name, field, def, help)                                                                                   \
    {                                                                                                                  \
        name, BF_KEY_BOOL, AT(field), 0, 1, NULL, def, help                                                            \
    }
#define INT(name, field, min, max, def, help)                                                                          \
    {                                                                                                                  \
        name, BF_KEY_INT, AT(field), min, max, NULL, def, help                                                         \
    }
#define NUM(name, field, min, max, def, help)                                                                          \
    {                                                                                                                  \
        name, BF_KEY_FLOAT, AT(field), min, max, NULL, def, help                                                       \
    }
#define TEXT(name, field, def, help)                                                                                   \
    {                                                                                                                  \
        name, BF_KEY_TEXT, AT(field), 0, 0, NULL, def, help                                                            \
    }
#define WORD(name, field, choices, def, help)                                                                          \
    {                                                                                                                  \
        name, BF_KEY_CHOICE, AT(field), 0, 0, choices, def, help                                                       \
    }
#define INTS(name, field, min, max, def, help)                                                                         \
    {                                                                                                                  \
        name, BF_KEY_INTS, AT(field), min, max, NULL, def, help                                                        \
    }

const bf_key bf_config_keys[] = {
    TEXT("data.train", data.train, "",
         "training data: IDX or IDX.gz file, folder of PNG files, NPY array, CIFAR-10 .bin files, text, CSV, "
         "molecules"),
    TEXT("data.test", data.test, "", "test data for eval; a text has its own, its last part, where none is given"),
    WORD("data.transform", data.transform, "continuous|bins|binarise|text|table|molecules", "bins",
         "continuous: scale to [-1, 1]; bins: quantise; binarise: a fresh Bernoulli draw at each read; text: "
         "characters; table: a CSV file with a header; molecules: atoms in space, from SDF, PDB or XYZ files"),
    INT("data.bins", data.bins, 2, 256, "16", "levels of the data after quantising (transform bins; numbers bins)"),
    TEXT("data.columns", data.columns, "",
         "table: types that are not as inferred, such as \"age=continuous, id=ignore, width=bins:32\"; continuous, "
         "bins, "
         "bins:N, integer, categorical, binary, ignore"),
    TEXT("data.missing", data.missing, "NA ?", "table: words for a missing cell, beside the empty one"),
    WORD("data.numbers", data.numbers, "continuous|bins", "continuous",
         "table: numbers that are not integers over a small range are continuous, or cut into data.bins levels"),
    WORD("data.normalise", data.normalise, "quantiles|range", "quantiles",
         "table: numbers are mapped to [-1, 1] by their quantiles (bins: of equal shares), or by their range"),
    NUM("data.given", data.given, 0, 1, "0.5",
        "table: part of the training rows in which some cells are given, so that the model learns to fill in the rest"),
    INTS("data.size", data.size, 1, 32768, "[]",
         "height, width and, where wanted, channels (1 or 3) of an example. Folders of PNG files: take only the "
         "pictures "
         "of this height and width, as grey or RGB; [] = all must be alike, channels as in the files. Other data know "
         "their own; bench needs all three numbers where the data are not at hand"),
    INT("data.length", data.length, 1, 65536, "256", "text: characters of an example"),
    TEXT("data.vocabulary", data.vocabulary, "text8",
         "text: text8 (a to z, space), letters (any text, reduced to these), bytes, learned (from the training file), "
         "or "
         "the characters in ascending order"),
    INT("data.limit", data.limit, 0, 1e9, "0", "use only the first examples; 0 = all"),
    NUM("data.validation", data.validation, 0, 0.5, "0.01",
        "fraction of the training set kept for validation; of a text, as much again for test"),
    BOOL("data.flip", data.flip, "false", "mirror training images at random"),
    TEXT("data.labels", data.labels, "",
         "class labels of the training data, of which the network is told: an IDX, IDX.gz or NPY file, or auto: the "
         "sub-folders of a folder of PNG files, the bytes of CIFAR-10, the file beside the images "
         "(train-labels-idx1-ubyte.gz, NAME-labels.npy); empty: none"),
    TEXT("data.test_labels", data.test_labels, "auto", "the same of the test data"),
    TEXT("data.label_names", data.label_names, "",
         "names of the classes, such as \"shirt, trouser\", or \"0..9\": the numbers; empty: those of the sub-folders, "
         "else the numbers"),

    TEXT("mol.elements", mol.elements, "learned",
         "molecules: kinds of atoms, such as \"H C N O\"; learned: those of the training data; molcraft: H, C, N, O, "
         "F, P, "
         "S and Cl, and aromatic C, N, O, P and S apart"),
    BOOL("mol.pocket", mol.pocket, "false",
         "molecules: in the pocket of a protein, the mean of whose atoms is the origin; data.train is then a folder of "
         "pairs NAME.pdb, NAME.sdf"),
    INT("mol.room", mol.room, 1, 10000, "16",
        "in pockets: atoms of pockets that batches have room for, per atom of train.batch, which counts ligands'"),
    NUM("mol.noise", mol.noise, 0, 100, "0", "in pockets: deviation of noise on the pocket's atoms, in units"),
    BOOL("mol.rotate", mol.rotate, "false", "in pockets: turn or mirror every training example at random"),
    NUM("mol.scale", mol.scale, 1e-3, 1e3, "2", "molecules: Angstrom that are 1 to the flow of the positions"),
    NUM("mol.type_weight", mol.type_weight, 0, 1e6, "1",
        "molecules: what the loss of the kinds counts for against that of the positions"),

    WORD("flow.kind", flow.kind, "continuous|discretised|categorical", "discretised",
         "kind of Bayesian flow; of a table that of its integers and bins: discretised or categorical"),
    WORD("flow.output", flow.output, "auto|delta|normal|mixture", "auto",
         "output distribution; auto: delta for continuous, normal for discretised"),
    NUM("flow.min_variance", flow.min_variance, 1e-10, 0.5, "1e-3", "variance sigma1^2 at t = 1"),
    NUM("flow.max_sqrt_beta", flow.max_sqrt_beta, 1e-3, 100, "3", "sqrt(beta(1)) of the categorical flow"),
    WORD("flow.schedule", flow.schedule, "squared|entropy", "squared",
         "categorical: accuracy beta(t). squared: max_sqrt_beta^2 t^2; entropy: the entropy of the parameters falls "
         "linearly, as ChemBFN has it with max_sqrt_beta = sqrt(20.4054 / classes)"),
    INT("flow.mixture", flow.mixture, 1, 32, "10", "components of a mixture output"),
    BOOL("flow.predict_data", flow.predict_data, "false", "the network predicts the data instead of the noise"),
    NUM("flow.min_t", flow.min_t, 0, 0.5, "1e-6",
        "a network that predicts the noise says nothing about times before it"),
    BOOL("flow.truncate", flow.truncate, "false", "discretised: truncate at -1 and 1 instead of clipping"),

    WORD(
        "net.kind", net.kind, "unet|vdm-unet|transformer|mlp|unio2", "unet",
        "network: U-Net with levels, U-Net of one resolution (VDM), transformer, mlp for vectors and tables, unio2 for "
        "molecules"),
    INT("net.width", net.width, 2, 4096, "32", "channels of the first level"),
    INTS("net.mult", net.mult, 1, 64, "[1, 2, 2]", "unet: width of each level as a multiple of net.width"),
    INT("net.blocks", net.blocks, 1, 64, "1", "residual blocks per level (unet) or in all"),
    INT("net.groups", net.groups, 0, 1024, "8", "groups of the group norms; 0 = four channels to a group, at most 32"),
    INTS("net.attention", net.attention, 1, 1024, "[]", "unet: down-sampling rates that get attention"),
    INT("net.heads", net.heads, 1, 256, "4", "attention heads"),
    WORD("net.time", net.time, "none|raw|rbf|rbfnn", "raw",
         "unio2: what it is told about the time; raw: the number; rbf: soft bins of it; rbfnn: these through two "
         "layers"),
    INT("net.time_features", net.time_features, 2, 1024, "16", "unio2: bins of net.time rbf and rbfnn"),
    INT("net.neighbours", net.neighbours, 1, 64, "32", "unio2: atoms that an atom hears of, the nearest ones"),
    NUM("net.dropout", net.dropout, 0, 0.95, "0", "probability of dropping an activation while training"),
    BOOL("net.scale_shift", net.scale_shift, "false", "unet: time enters as scale and shift of the second norm"),
    BOOL("net.project_input", net.project_input, "true", "unet: linear layer before the first convolution"),
    BOOL("net.skip", net.skip, "true", "the input of the first layer joins the output layer"),
    BOOL("net.positions", net.positions, "false", "U-Nets: position features among the inputs"),
    BOOL("net.learned_positions", net.learned_positions, "false", "trained positions instead of sines and cosines"),
    BOOL("net.fourier", net.fourier, "true", "vdm-unet: sines and cosines of the input join it"),
    BOOL("net.attention_everywhere", net.attention_everywhere, "false", "vdm-unet: attention not only in the middle"),
    BOOL("net.bias", net.bias, "true", "transformer: biases in linear layers and norms"),
    BOOL("net.causal", net.causal, "false", "transformer: a position sees only those before it"),

    INT("train.steps", train.steps, 0, 1e9, "1000", "optimiser steps"),
    INT("train.schedule_steps", train.schedule_steps, 0, 1e9, "0",
        "length of the learning rate schedule; 0 = train.steps, or that of the file when an override shortens the run"),
    INT("train.batch", train.batch, 1, 65536, "48", "examples per step; of molecules their atoms, at most"),
    INT("train.accumulate", train.accumulate, 1, 65536, "1",
        "parts of a batch that go through memory one after the other, their gradients added up; divides train.batch"),
    BOOL("train.recompute", train.recompute, "false",
         "compute activations a second time instead of keeping them: less memory, more time, the same numbers"),
    WORD("train.storage", train.storage, "float|half", "float",
         "how activations wait for their gradients; half: 16 bits each, gradients about 1e-3 less exact"),
    INT("train.seed", train.seed, 0, 9007199254740991.0, "1", "seed of everything random"),
    NUM("train.lr", train.lr, 0, 10, "1e-3", "largest learning rate"),
    NUM("train.lr_final", train.lr_final, 0, 10, "0",
        "learning rate at the end of the cosine schedule, the lowest one of the others"),
    INT("train.warmup", train.warmup, 0, 1e9, "100", "steps of linear warm-up"),
    WORD(
        "train.schedule", train.schedule, "constant|cosine|cosine-waves|plateau", "cosine",
        "learning rate after the warm-up; cosine-waves: up again after train.schedule_steps, and so on; plateau: lower "
        "whenever the validation loss stops getting better"),
    NUM("train.plateau_factor", train.plateau_factor, 0.01, 0.999, "0.6", "plateau: what the rate is multiplied by"),
    INT("train.plateau_patience", train.plateau_patience, 0, 1e6, "10",
        "plateau: validations in a row that may fail to be better"),
    NUM("train.beta1", train.beta1, 0, 0.999999, "0.9", "AdamW: decay of the first moment"),
    NUM("train.beta2", train.beta2, 0, 0.999999, "0.99", "AdamW: decay of the second moment"),
    NUM("train.eps", train.eps, 1e-16, 1, "1e-8", "AdamW: epsilon"),
    NUM("train.weight_decay", train.weight_decay, 0, 10, "0.01", "AdamW: weight decay"),
    NUM("train.clip", train.clip, 0, 1e9, "5", "largest gradient norm; 0 = no clipping"),
    WORD(
        "train.clip_rule", train.clip_rule, "fixed|queue", "fixed",
        "fixed: train.clip; queue: 1.5 mean + 2 standard deviations of the norms so far, which then are cut at it too"),
    INT("train.clip_queue", train.clip_queue, 1, 1e6, "3000", "clip_rule queue: how many past norms count"),
    NUM("train.ema", train.ema, 0, 0.9999999, "0.995", "decay of the averaged weights"),
    WORD("train.loss", train.loss, "continuous|n-step", "continuous", "which loss is minimised"),
    INT("train.loss_steps", train.loss_steps, 1, 1e6, "100", "steps of the n-step loss"),
    WORD("train.receiver", train.receiver, "joint|official", "joint", "n-step loss of categories: which receiver"),
    WORD("train.times", train.times, "low-discrepancy|random", "low-discrepancy", "how the times of a batch are drawn"),
    NUM("train.label_dropout", train.label_dropout, 0, 0.99, "0.1",
        "part of the training examples whose label is left out, so that the network can do without and be guided"),
    INT("train.eval_every", train.eval_every, 0, 1e9, "250", "steps between validations; 0 = only at the end"),
    INT("train.save_every", train.save_every, 0, 1e9, "250", "steps between checkpoints; 0 = only at the end"),
    INT("train.log_every", train.log_every, 1, 1e9, "10", "steps between lines of train.jsonl"),
    INT("train.bad_steps", train.bad_steps, 1, 1e6, "10", "steps without a finite loss before the run goes back"),

    INTS("eval.loss_steps", eval.loss_steps, 0, 1e6, "[0]", "losses to report: numbers of steps, 0 = continuous time"),
    INT("eval.batch", eval.batch, 0, 65536, "0", "examples per batch, at most; 0 = train.batch / train.accumulate"),
    INT("eval.repeats", eval.repeats, 1, 1e6, "1", "passes over the data, with fresh times and noise"),
    INT("eval.examples", eval.examples, 1, 1e9, "480", "validation examples that decide which model is best"),
    INT("eval.seed", eval.seed, 0, 9007199254740991.0, "1", "seed of times and noise"),
    WORD("eval.receiver", eval.receiver, "joint|official", "joint", "n-step loss of categories: which receiver"),
    WORD("eval.times", eval.times, "low-discrepancy|random", "low-discrepancy", "how the times are drawn"),

    INT("sample.n", sample.n, 1, 1e6, "64", "samples"),
    INT("sample.steps", sample.steps, 1, 1e6, "100", "sampler steps"),
    INT("sample.batch", sample.batch, 0, 65536, "0",
        "samples computed at once, at most (of molecules: atoms); 0 = train.batch / train.accumulate"),
    WORD("sample.mode", sample.mode,
         "ancestral|end_back|end_back_pmf|end_back_mode|end_back_fixed|sde1|sde2|ode1|ode2|ode2_single|sde_euler|ode_"
         "euler|"
         "auto",
         "ancestral",
         "how the sampler goes on from what the network says. ancestral: by a message about a draw from it, as in the "
         "paper; end_back forgets the past and draws the state at the end of a step around a draw, the expected values "
         "(pmf, fixed: with one noise for all steps) or the likeliest (mode); sde and ode solve the equations whose "
         "solution sampling is, with noise and without, with errors of order 1 or 2; auto: ode2 for few steps, else "
         "sde2"),
    WORD("sample.grid", sample.grid, "auto|uniform|shifted|early", "auto",
         "times of the steps. uniform: from 0 to 1; shifted: from sample.eta; early: from there with shorter steps at "
         "first; auto: for sde and ode early, and shifted where all variables are classes, else uniform"),
    NUM("sample.eta", sample.eta, 0, 0.5, "0",
        "first time of the grids shifted and early; 0 = 0.01, and 0.001 where all variables are classes"),
    TEXT("sample.times", sample.times, "",
         "times of the steps, increasing to 1, such as \"0.01, 0.2, 0.6, 1\"; steps and grid follow"),
    WORD("sample.last", sample.last, "auto|call|prediction|state", "auto",
         "the sample. call: what the network says at t = 1, after the last step; prediction: what it says at the "
         "beginning of the last step; state: the state at t = 1; auto: prediction for sde and ode, else call"),
    WORD("sample.choose", sample.choose, "auto|mean|draw|mode", "auto",
         "what a step takes from the output distribution: expected values (probabilities), a draw, or the likeliest "
         "value; auto: as the mode is meant"),
    WORD("sample.start", sample.start, "zero|random", "zero",
         "in pockets: where the atoms of a molecule begin, at the origin or at one random point near it"),
    NUM("sample.guidance", sample.guidance, 0, 100, "0",
        "samples of a class: strength W of classifier-free guidance, which takes (1 + W) times what the network says "
        "of "
        "the class minus W times what it says without"),
    NUM("sample.temperature", sample.temperature, 1e-3, 1e3, "1",
        "logits of the output distributions are divided by it, deviations multiplied; 1: as the network says"),
    INT("sample.seed", sample.seed, 0, 9007199254740991.0, "1", "seed of the samples"),

    TEXT("device.select", device.select, "", "device selector; --device and BFNCL_DEVICE come first"),
    WORD("device.gemm", device.gemm, "auto|clblast|packed", "auto", "provider of matrix products"),
    INT("device.memory_mib", device.memory_mib, 0, 1e9, "0", "memory the engine may use; 0 = what the device allows"),
};

const size_t bf_config_key_count = BF_COUNT(bf_config_keys);
_Static_assert(BF_COUNT(bf_config_keys) <= BF_CONFIG_KEYS_MAX, "raise BF_CONFIG_KEYS_MAX");

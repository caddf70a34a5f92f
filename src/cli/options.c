/* The tables of commands, options and exit codes: the only place that knows what a user can type. */
#include "cli/cli.h"
#include "cli/commands.h"

#define GROUP_RUN "Run"
#define GROUP_SCORE "Scoring"
#define GROUP_SAMPLE "Sampling"
#define GROUP_BENCH "Measuring"
#define GROUP_DEVICE "Device"
#define GROUP_OUTPUT "Output"

const cli_option cli_options[OPT_COUNT] = {
    [OPT_OUT] = {.name = "out",
                 .type = CLI_DIRECTORY,
                 .argument = "DIR",
                 .commands = CLI_TRAIN,
                 .def = "runs/NAME after the configuration file",
                 .group = GROUP_RUN,
                 .help = "run folder, made if absent",
                 .text = "The run folder receives config.yaml (the resolved configuration), train.jsonl (one JSON "
                         "object per event), last.safetensors (checkpoint), best.safetensors (best averaged weights "
                         "on the validation examples) and loss.svg."},
    [OPT_RESUME] = {.name = "resume",
                    .type = CLI_FLAG,
                    .commands = CLI_TRAIN,
                    .group = GROUP_RUN,
                    .help = "go on from the newest valid checkpoint of the run folder",
                    .text = "Weights, optimiser state, averaged weights, data order and random numbers continue "
                            "exactly where the checkpoint was written: the result is bit-identical to a run that was "
                            "never stopped. The configuration may then be left out; the one in the run folder is "
                            "used. Without a checkpoint the run starts from the beginning."},
    [OPT_RECOMPUTE] = {.name = "recompute",
                       .type = CLI_FLAG,
                       .commands = CLI_TRAIN,
                       .key = "train.recompute",
                       .group = GROUP_RUN,
                       .help = "less memory for more time: compute activations twice",
                       .text =
                           "Of each block of the network only the result is kept for the gradients; what is inside is "
                           "computed a second time, dropout included, with the same bits. A step takes up to a third "
                           "longer. The dry run prints the peak with and without."},
    [OPT_STORAGE] = {.name = "storage",
                     .type = CLI_CHOICE,
                     .argument = "TYPE",
                     .choices = "float|half",
                     .commands = CLI_TRAIN,
                     .key = "train.storage",
                     .def = "float",
                     .group = GROUP_RUN,
                     .help = "how activations are kept for the gradients: float or half",
                     .text =
                         "half: what the gradients need of the forward pass is kept in 16 bits. Arithmetic, weights, "
                         "gradients and optimiser state stay 32-bit floats, so no loss scaling is needed; the loss "
                         "has the same bits, gradients carry a rounding of about 1e-3."},
    [OPT_STEPS] = {.name = "steps",
                   .type = CLI_INTEGER,
                   .argument = "N",
                   .min = 0,
                   .max = 1e9,
                   .commands = CLI_TRAIN | CLI_SAMPLE | CLI_BENCH,
                   .key = "train.steps",
                   .def = "from the configuration; bench: 10",
                   .group = GROUP_RUN,
                   .help = "steps of the optimiser, or of the sampler",
                   .text = "train: optimiser steps in all, those before a resume included. sample: steps per "
                           "sample; more are slower and better. bench train, bench sample: steps "
                           "that are timed; three more come before them."},
    [OPT_SEED] = {.name = "seed",
                  .type = CLI_INTEGER,
                  .argument = "S",
                  .min = 0,
                  .max = 9007199254740991.0,
                  .commands = CLI_TRAIN | CLI_EVAL | CLI_SAMPLE,
                  .key = "train.seed",
                  .def = "from the configuration",
                  .group = GROUP_RUN,
                  .help = "seed of everything random",
                  .text = "The same seed on the same device with the same driver and the same table of bfncl tune, if "
                          "any, gives the same bytes. Sample k of a seed is the same whatever the number of samples "
                          "and the batch size are."},
    [OPT_SET] = {.name = "set",
                 .type = CLI_TEXT,
                 .repeats = true,
                 .argument = "KEY=VALUE",
                 .commands = CLI_TRAIN | CLI_EVAL | CLI_SAMPLE | CLI_CONVERT | CLI_BENCH,
                 .group = GROUP_RUN,
                 .help = "override one configuration value; may be repeated",
                 .text = "KEY is a name such as train.lr; `bfncl help config` lists all of them with their defaults. "
                         "Overrides apply in the order given."},
    [OPT_DRY_RUN] = {.name = "dry-run",
                     .type = CLI_FLAG,
                     .commands = CLI_TRAIN | CLI_EVAL | CLI_SAMPLE,
                     .group = GROUP_RUN,
                     .help = "print the plan and the memory it needs, compute nothing",
                     .text = "Prints parameters, activations, peak memory against what the device can give, and the "
                             "arithmetic of one step of training or sampling or of one batch that is scored. Exits 1 "
                             "when the plan does not fit."},
    [OPT_PRINT_CONFIG] = {.name = "print-config",
                          .type = CLI_FLAG,
                          .commands = CLI_TRAIN,
                          .group = GROUP_RUN,
                          .help = "print the resolved configuration and exit",
                          .text = "Every key with its value and, as a comment, where it comes from: default, file or "
                                  "option. The output is a configuration file."},
    [OPT_CONFIG] = {.name = "config",
                    .type = CLI_PATH,
                    .argument = "CONFIG",
                    .commands = CLI_EVAL | CLI_SAMPLE | CLI_CONVERT,
                    .group = GROUP_RUN,
                    .help = "what the weights of another program are for",
                    .text = "The configuration of the network whose weights are in a PyTorch or safetensors file that "
                            "bfncl did not write: one of bfncl's own or the JSON file of the official releases. Every "
                            "weight is found by its official name behind whatever prefix, and its shape is compared."},
    [OPT_SIZE] = {.name = "size",
                  .type = CLI_TEXT,
                  .argument = "HxWxC",
                  .commands = CLI_EVAL | CLI_SAMPLE | CLI_CONVERT | CLI_BENCH,
                  .def = "as the configuration or its data say",
                  .group = GROUP_RUN,
                  .help = "of a configuration's examples: height, width, channels",
                  .text = "For instance 28x28x1; needed where the configuration's data are not at hand."},
    [OPT_DATA] = {.name = "data",
                  .type = CLI_PATH,
                  .argument = "PATH",
                  .commands = CLI_EVAL,
                  .def = "data.test of the model's configuration",
                  .group = GROUP_SCORE,
                  .help = "data to score: IDX, NPY, CIFAR-10, a folder of PNG files or a text"},
    [OPT_LOSS_STEPS] = {.name = "loss-steps",
                        .type = CLI_STEPS_LIST,
                        .argument = "inf|N,...",
                        .commands = CLI_EVAL,
                        .def = "eval.loss_steps of the model's configuration",
                        .group = GROUP_SCORE,
                        .help = "losses to report: inf = continuous time, N = N steps",
                        .text = "A list gives one row of results per entry, for instance --loss-steps inf,10,100."},
    [OPT_RECEIVER] = {.name = "receiver",
                      .type = CLI_CHOICE,
                      .argument = "NAME",
                      .choices = "joint|official",
                      .commands = CLI_EVAL,
                      .def = "joint",
                      .group = GROUP_SCORE,
                      .help = "n-step loss of categories: joint or official",
                      .text = "joint is the mixture of the paper, a true code length. official is the per-coordinate "
                              "form of the authors' program. Other kinds of data have no choice here."},
    [OPT_REPEATS] = {.name = "repeats",
                     .type = CLI_INTEGER,
                     .argument = "R",
                     .min = 1,
                     .max = 1e6,
                     .commands = CLI_EVAL,
                     .def = "eval.repeats of the model's configuration",
                     .group = GROUP_SCORE,
                     .help = "passes over the data with fresh times and noise"},
    [OPT_LIMIT] = {.name = "limit",
                   .type = CLI_INTEGER,
                   .argument = "N",
                   .min = 1,
                   .max = 1e9,
                   .commands = CLI_EVAL,
                   .def = "all",
                   .group = GROUP_SCORE,
                   .help = "score only the first N examples"},
    [OPT_WEIGHTS] = {.name = "weights",
                     .type = CLI_CHOICE,
                     .argument = "NAME",
                     .choices = "ema|raw",
                     .commands = CLI_EVAL | CLI_SAMPLE,
                     .def = "ema",
                     .group = GROUP_SCORE,
                     .help = "averaged (ema) or last (raw) weights"},
    [OPT_PER_EXAMPLE] = {.name = "per-example",
                         .type = CLI_PATH,
                         .argument = "FILE.csv",
                         .commands = CLI_EVAL,
                         .group = GROUP_SCORE,
                         .help = "also the scores of every example, as CSV",
                         .text = "A line of names, then a line per example in the order of the data: its number; of a "
                                 "folder its file; of a text the number of its first character in the file and how "
                                 "many characters are scored; then, in bits per dimension, the reconstruction loss, "
                                 "each loss of --loss-steps, and each with the reconstruction (total). With one "
                                 "repeat each example is scored at one random time; more --repeats tell them apart "
                                 "better."},
    [OPT_OVER_TIME] = {.name = "over-time",
                       .type = CLI_INTEGER,
                       .argument = "BINS",
                       .min = 1,
                       .max = 1000,
                       .commands = CLI_EVAL,
                       .group = GROUP_SCORE,
                       .help = "also the losses in so many bins of time from 0 to 1",
                       .text = "Every example is scored at a time of its own (one per repeat); a bin holds the mean of "
                               "those whose time lies in it, the standard error of that mean and their number. The "
                               "mean over the bins estimates the loss."},
    [OPT_STRIDE] = {.name = "stride",
                    .type = CLI_INTEGER,
                    .argument = "S",
                    .min = 1,
                    .max = 1e6,
                    .commands = CLI_EVAL,
                    .def = "data.length of the model: windows do not overlap",
                    .group = GROUP_SCORE,
                    .help = "text: windows begin every S characters, each character counts once",
                    .text =
                        "The first window counts with all its characters, every other with its last S; those before "
                        "them are context, which the network sees through the same noise but which costs nothing. "
                        "The sum is a code length for a receiver that decodes window after window and keeps what "
                        "it has. It need not be below the one without overlap: the characters that count have no "
                        "neighbours to the right. Time grows with data.length / S."},
    [OPT_BASELINES] =
        {.name = "baselines",
         .type = CLI_FLAG,
         .commands = CLI_EVAL,
         .group = GROUP_SCORE,
         .help = "also score the untrained network and a marginal model",
         .text = "Both see the same data as the model. The marginal model counts, on the training data, "
                 "how often each pixel has each value; of a text, how often each character occurs "
                 "anywhere (unigram); of a table each column by itself, and a Gaussian copula with these marginals is "
                 "fitted too. The untrained network is scored with the last loss of the list. A trained "
                 "model must be well below either."},
    [OPT_IMPUTE] = {.name = "impute",
                    .type = CLI_INTEGER,
                    .argument = "PERCENT",
                    .min = 1,
                    .max = 99,
                    .commands = CLI_EVAL,
                    .group = GROUP_SCORE,
                    .help = "table: hide this many cells, fill them, compare with column means and modes",
                    .text = "Each row is drawn 20 times given the cells that are left, in sample.steps steps; numbers "
                            "become the mean of the draws, words the most frequent one. The errors of numbers are in "
                            "standard deviations of their column."},
    [OPT_SAMPLES] =
        {.name = "samples",
         .type = CLI_PATH,
         .argument = "FILE",
         .commands = CLI_EVAL,
         .group = GROUP_SCORE,
         .help = "measure the samples in a file beside the data instead of scoring data",
         .text = "FILE is what `bfncl sample` wrote, the data those the model was trained with, or --data. Texts "
                 "(.txt): the share of words that stand in a dictionary. Pictures (.npy, .safetensors, or a data set): "
                 "the Frechet distance of features of the samples and of the data. Molecules (SDF, XYZ, PDB): "
                 "stability of atoms and molecules by "
                 "the distances of atoms (EDM's table of bonds), and of the same bonds validity, uniqueness and "
                 "novelty, by RDKit where bfncl was built with it; how far the distributions of bond lengths "
                 "(of the bonds in the file) and of distances are from those of the data."},
    [OPT_DICTIONARY] = {.name = "dictionary",
                        .type = CLI_PATH,
                        .argument = "FILE",
                        .commands = CLI_EVAL,
                        .def = "the words of the training text",
                        .group = GROUP_SCORE,
                        .help = "with --samples of texts: words, one a line",
                        .text = "Or a dictionary of Hunspell (.dic), of which the words count as they stand there, "
                                "without what its affixes would make of them. Words are runs of letters, case is "
                                "ignored. The training text counts without what is held out for validation and test."},
    [OPT_ENCODER] =
        {.name = "encoder",
         .type = CLI_PATH,
         .argument = "FILE",
         .commands = CLI_EVAL,
         .def = "fixed random features, which tell better from worse for one kind of picture",
         .group = GROUP_SCORE,
         .help = "with --samples of pictures: a .safetensors network of features",
         .text = "Convolutions (3x3 with a border of zeros or 1x1; \"NAME.weight\" [out,in,k,k]), then linear layers "
                 "([out,in]), each with \"NAME.bias\" or without; names end in numbers that say the order, as "
                 "PyTorch's nn.Sequential gives them. A ReLU follows every layer but the last. Convolutions have "
                 "stride 2, unless the metadata of the file say otherwise: strides \"1,2,2\". The first linear layer "
                 "reads the means of the channels, or all of them in the order [C,H,W]. Values are -1 to 1."},
    [OPT_NEIGHBOURS] = {.name = "neighbours",
                        .type = CLI_PATH,
                        .argument = "FILE.png",
                        .commands = CLI_EVAL,
                        .group = GROUP_SCORE,
                        .help = "with --samples of pictures: the examples that are nearest to them, as a picture",
                        .text = "The first ten samples in the first column, beside each the eight nearest examples of "
                                "the data: by pixels, with --encoder by its features."},
    [OPT_CHART] = {.name = "chart",
                   .type = CLI_PATH,
                   .argument = "FILE.svg",
                   .commands = CLI_EVAL,
                   .group = GROUP_SCORE,
                   .help = "with --samples of molecules: a picture of the lengths of their bonds and of the data's"},
    [OPT_N] = {.letter = 'n',
               .type = CLI_INTEGER,
               .argument = "N",
               .min = 1,
               .max = 1e6,
               .commands = CLI_SAMPLE,
               .def = "sample.n of the model's configuration",
               .group = GROUP_SAMPLE,
               .help = "number of samples"},
    [OPT_LENGTH] = {.name = "length",
                    .type = CLI_INTEGER,
                    .argument = "L",
                    .min = 1,
                    .max = 65536,
                    .commands = CLI_SAMPLE,
                    .def = "that of the examples the model was trained with",
                    .group = GROUP_SAMPLE,
                    .help = "characters of a text, at most those of the model",
                    .text = "The network then runs on sequences of this length, which takes less time. Only for "
                            "models of text."},
    [OPT_LENGTHS] = {.name = "lengths",
                     .type = CLI_TEXT,
                     .argument = "L,L,...",
                     .commands = CLI_SAMPLE,
                     .group = GROUP_SAMPLE,
                     .help = "texts of several lengths: 10,20,32 or 10-32",
                     .text =
                         "The samples take the lengths of the list in turn. What a text is shorter than the longest "
                         "one is held at spaces while the others are drawn, and cut off in the output (not in .npy "
                         "and .safetensors)."},
    [OPT_GIVEN] = {.name = "given",
                   .type = CLI_PATH,
                   .argument = "WHAT",
                   .commands = CLI_SAMPLE,
                   .group = GROUP_SAMPLE,
                   .help = "table, picture or text whose missing parts are drawn given the others",
                   .text = "What is given stays as it is. With -n N it is drawn N times, without -n once. Table: a CSV "
                           "file; every byte that is not a missing cell stays, and filled in are the means or the most "
                           "frequent words of the draws. Picture: a PNG file of the model's size with --mask or "
                           "transparent pixels, or an NPY array of one or several in which NaN is drawn. Text: a file "
                           "or the text itself, with _ or ? for every missing character; the samples have its length "
                           "unless --length says more. Molecules have --scaffold."},
    [OPT_MASK] = {.name = "mask",
                  .type = CLI_PATH,
                  .argument = "MASK.png",
                  .commands = CLI_SAMPLE,
                  .group = GROUP_SAMPLE,
                  .help = "what of a given picture is drawn: white is, black is kept",
                  .text = "Of the same height and width; a pixel is white when it is at least half as bright. Without "
                          "a mask the transparent pixels of the picture are drawn."},
    [OPT_HOLE] = {.name = "hole",
                  .type = CLI_TEXT,
                  .argument = "CHAR",
                  .commands = CLI_SAMPLE,
                  .def = "_ and ?, unless the model knows them as characters",
                  .group = GROUP_SAMPLE,
                  .help = "the character for what is missing in a given text"},
    [OPT_PARTICLES] = {.name = "particles",
                       .type = CLI_INTEGER,
                       .argument = "P",
                       .min = 1,
                       .max = 1e6,
                       .commands = CLI_SAMPLE,
                       .def = "1",
                       .group = GROUP_SAMPLE,
                       .help = "how many follow what is given for each sample; more are more exact and slower",
                       .text = "What is drawn early knows little yet of what is given, and with one particle stays. "
                               "Of P particles those that go with what is given are taken on, and one of them becomes "
                               "the sample: with many, and a network without fault, a draw from the true conditional "
                               "distribution, for P times the work. Only with the sampler ancestral. The end_back "
                               "samplers draw everything anew in every step and need no particles to look right, but "
                               "promise nothing."},
    [OPT_SAMPLER] = {.name = "sampler",
                     .type = CLI_CHOICE,
                     .argument = "MODE",
                     .choices = "auto|ancestral|end_back|end_back_pmf|end_back_mode|end_back_fixed|sde1|sde2|ode1|ode2|"
                                "ode2_single|sde_euler|ode_euler",
                     .commands = CLI_SAMPLE,
                     .def = "sample.mode of the model's configuration",
                     .group = GROUP_SAMPLE,
                     .help = "how the sampler goes on from what the network says",
                     .text = "ancestral: by a message about a draw from it, as in the paper. end_back forgets the "
                             "past and draws the state at the end of a step around a draw, the expected values "
                             "(end_back_pmf; end_back_fixed with one noise for all steps) or the likeliest ones "
                             "(end_back_mode). sde and ode solve the differential equations behind sampling, with "
                             "noise and without; order 2 takes the line through two predictions (ode2_single: two "
                             "evaluations per step), and 20 evaluations do what ancestral sampling does in 100. auto: "
                             "ode2 up to 15 evaluations, sde2 above."},
    [OPT_GRID] = {.name = "grid",
                  .type = CLI_CHOICE,
                  .argument = "GRID",
                  .choices = "uniform|shifted|early",
                  .commands = CLI_SAMPLE,
                  .def = "sample.grid: for sde and ode early, of text shifted, else uniform",
                  .group = GROUP_SAMPLE,
                  .help = "times of the steps",
                  .text = "uniform: k / n from 0 to 1. shifted: from sample.eta, which is 0.01 (0.001 where all "
                          "variables are classes); the ode modes and Euler's steps cannot begin at 0."},
    [OPT_TIMES] = {.name = "times",
                   .type = CLI_TEXT,
                   .argument = "T,T,...",
                   .commands = CLI_SAMPLE,
                   .def = "sample.times",
                   .group = GROUP_SAMPLE,
                   .help = "times of the steps, one by one: increasing, the last is 1",
                   .text = "Instead of --steps and --grid: \"0.01,0.1,0.3,0.6,1\" is four steps."},
    [OPT_LABEL] = {.name = "label",
                   .type = CLI_TEXT,
                   .argument = "CLASS[,CLASS...]",
                   .commands = CLI_SAMPLE | CLI_EVAL,
                   .def = "sample: none; eval: the labels of the data",
                   .group = GROUP_SAMPLE,
                   .help = "classes of a model with labels, by name: \"shirt,dress\", all, none",
                   .text =
                       "sample: -n samples of each class; the picture has a row per class. eval: score every example "
                       "as if it were of this class; none: without labels."},
    [OPT_GUIDANCE] = {.name = "guidance",
                      .type = CLI_NUMBER,
                      .argument = "W",
                      .min = 0,
                      .max = 100,
                      .commands = CLI_SAMPLE,
                      .def = "sample.guidance of the model's configuration",
                      .group = GROUP_SAMPLE,
                      .help = "strength of classifier-free guidance towards the class",
                      .text =
                          "The sampler is told (1 + W) times what the network says of the class minus W times what it "
                          "says without: samples become more typical and less various. With W above 0 a step takes "
                          "twice as long."},
    [OPT_TEMPERATURE] = {.name = "temperature",
                         .type = CLI_TEXT,
                         .argument = "T",
                         .commands = CLI_SAMPLE,
                         .key = "sample.temperature",
                         .def = "sample.temperature of the model's configuration, 1",
                         .group = GROUP_SAMPLE,
                         .help = "below 1: likelier samples, less various; above 1: the other way",
                         .text = "Of what the network says at every step logits are divided by T and deviations "
                                 "multiplied. A network that says one value and nothing about its error has none."},
    [OPT_SCAFFOLD] = {.name = "scaffold",
                      .type = CLI_PATH,
                      .argument = "FILE",
                      .commands = CLI_SAMPLE,
                      .group = GROUP_SAMPLE,
                      .help = "part of a molecule that every sample has; the rest is generated",
                      .text =
                          "The first molecule of an SDF, PDB or XYZ file. Its atoms keep their places and kinds and "
                          "come first in the samples. Only for models of molecules."},
    [OPT_POCKET] =
        {.name = "pocket",
         .type = CLI_PATH,
         .argument = "PDB",
         .commands = CLI_SAMPLE | CLI_EVAL,
         .group = GROUP_SAMPLE,
         .help = "receptor in whose pocket ligands are made",
         .text =
             "Only for models of ligands in pockets, which need it. Its ATOM records count, whose "
             "residues must be of the twenty amino acids. --ligand or --center says where the pocket "
             "is. Samples have their positions in the receptor's frame. eval: with --samples, how they fit into it."},
    [OPT_LIGAND] = {.name = "ligand",
                    .type = CLI_PATH,
                    .argument = "FILE",
                    .commands = CLI_SAMPLE | CLI_EVAL,
                    .group = GROUP_SAMPLE,
                    .help = "a ligand in its place, around which the pocket is",
                    .text = "The first molecule of an SDF, PDB or XYZ file, hydrogens left out. Residues belong to the "
                            "pocket whose centre of mass is closer than --radius to any of its atoms."},
    [OPT_CENTER] = {.name = "center",
                    .type = CLI_TEXT,
                    .argument = "X,Y,Z",
                    .commands = CLI_SAMPLE | CLI_EVAL,
                    .group = GROUP_SAMPLE,
                    .help = "a point around which the pocket is, in Angstrom",
                    .text = "In place of --ligand, where none is known."},
    [OPT_RADIUS] = {.name = "radius",
                    .type = CLI_INTEGER,
                    .argument = "A",
                    .min = 1,
                    .max = 1000,
                    .commands = CLI_SAMPLE | CLI_EVAL,
                    .def = "10 around a ligand, 14 around a point",
                    .group = GROUP_SAMPLE,
                    .help = "how far the pocket reaches, in Angstrom",
                    .text = "The published models were trained with 10 around ligands."},
    [OPT_ATOMS] = {.name = "atoms",
                   .type = CLI_TEXT,
                   .argument = "COUNT",
                   .commands = CLI_SAMPLE,
                   .def = "ref; with --center prior",
                   .group = GROUP_SAMPLE,
                   .help = "atoms of a ligand: ref, prior or a number",
                   .text =
                       "ref: as many heavy atoms as --ligand has. prior: drawn from what ligands in pockets of this "
                       "size have in CrossDocked2020."},
    [OPT_OUTPUT] =
        {.name = "output",
         .letter = 'o',
         .type = CLI_PATH,
         .argument = "FILE",
         .commands = CLI_SAMPLE | CLI_CONVERT | CLI_TUNE,
         .def = "samples/samples.png (.csv of a table, .sdf of molecules) beside the model; text is printed",
         .group = GROUP_SAMPLE,
         .help =
             "where the samples go: .png (a grid), .txt (of a text model), .csv (of a table), .npy or .safetensors; "
             "molecules: .sdf, .xyz, .pdb or .png",
         .text = "convert: the file to write, .safetensors, instead of a second operand. tune: the table; "
                 "other commands use it when BFNCL_TUNE names it."},
    [OPT_TRAJECTORY] =
        {.name = "trajectory",
         .type = CLI_PATH,
         .argument = "FILE.gif|.png",
         .commands = CLI_SAMPLE,
         .group = GROUP_SAMPLE,
         .help = "also how the first samples form: an animation (.gif), or one picture (.png, .svg)",
         .text = "Pictures: what the network receives (theta), what it expects (mean) and what is drawn, side by side; "
                 "a .png has two rows for each sample, theta above mean, and columns over time. Texts: the most likely "
                 "characters, coloured by their probability. Vectors of one or two numbers: the way of theta from "
                 "the prior to the data (also .svg). Molecules: the first one, turning."},
    [OPT_LIVE] = {.name = "live",
                  .type = CLI_FLAG,
                  .commands = CLI_SAMPLE,
                  .group = GROUP_SAMPLE,
                  .help = "watch texts form on the terminal",
                  .text = "The most likely characters after every network evaluation, coloured from violet (unlikely) "
                          "to white (sure), with dots for blanks that are not likely yet. Does nothing where stderr "
                          "is no terminal, or with -q; with NO_COLOR without colours."},
    [OPT_SHAPE] = {.name = "shape",
                   .type = CLI_TEXT,
                   .repeats = true,
                   .argument = "SHAPE",
                   .commands = CLI_BENCH,
                   .def = "shapes that training uses",
                   .group = GROUP_BENCH,
                   .help = "gemm, conv, attention: what to measure; may be repeated",
                   .text =
                       "gemm: MxNxK, optionally with the number of products before it and the transposition of both "
                       "factors after it: 2048x768x768, 64*256x256x64:nt. conv: batch, height, width, channels "
                       "before and after, 3x3 with stride 1 unless it says otherwise: 16x28x28x64x64, "
                       "16x28x28x64x128:k1, 8x32x32x64x64:s2, 8x32x32x64x64:k1:s2. attention: batch, length, heads, "
                       "size of a head: 8x256x12x64, 8x256x12x64:causal."},
    [OPT_ONLY] = {.name = "only",
                  .type = CLI_TEXT,
                  .argument = "TEXT",
                  .commands = CLI_BENCH,
                  .def = "all rows",
                  .group = GROUP_BENCH,
                  .help = "conv, attention, ops: the rows whose op has TEXT in its name"},
    [OPT_BATCH] = {.name = "batch",
                   .type = CLI_INTEGER,
                   .argument = "B",
                   .min = 1,
                   .max = 65536,
                   .commands = CLI_BENCH,
                   .def = "train.batch; sample: sample.batch, where that is not 0",
                   .group = GROUP_BENCH,
                   .help = "train, sample: examples at a time"},
    [OPT_SECONDS] = {.name = "seconds",
                     .type = CLI_INTEGER,
                     .argument = "N",
                     .min = 1,
                     .max = 1e6,
                     .commands = CLI_TUNE,
                     .def = "300",
                     .group = GROUP_BENCH,
                     .help = "time to spend on tuning"},
    [OPT_LIST] = {.name = "list",
                  .type = CLI_FLAG,
                  .commands = CLI_TUNE,
                  .group = GROUP_BENCH,
                  .help = "show the table of the device, measure nothing"},
    [OPT_RESET] = {.name = "reset",
                   .type = CLI_FLAG,
                   .commands = CLI_TUNE,
                   .group = GROUP_BENCH,
                   .help = "remove the table of the device"},
    [OPT_DEVICE] = {.name = "device",
                    .letter = 'd',
                    .type = CLI_TEXT,
                    .argument = "SEL",
                    .commands = CLI_COMPUTE | CLI_CONVERT | CLI_PROGRAM,
                    .def = "$BFNCL_DEVICE, else device.select of the configuration, else auto",
                    .group = GROUP_DEVICE,
                    .help = "index, platform:index, gpu, cpu, auto or part of a name; list shows them all",
                    .text = "SEL is an index of the list, platform:index (pocl:0; it does not change when another "
                            "driver is installed), gpu, cpu, acc, auto, or a part of the name of platform, device or "
                            "vendor. A selector that fits no device or several is an error with the candidates. auto "
                            "takes a usable GPU, else an accelerator, else the CPU. A device that was named and fails "
                            "is an error; no other one is taken instead. `bfncl --device list` prints all devices of "
                            "all platforms, with the reason where one cannot be used."},
    [OPT_GEMM] = {.name = "gemm",
                  .type = CLI_CHOICE,
                  .argument = "NAME",
                  .choices = "auto|clblast|packed",
                  .commands = CLI_COMPUTE,
                  .def = "auto",
                  .group = GROUP_DEVICE,
                  .help = "provider of matrix products: auto, clblast or packed",
                  .text = "auto does what `bfncl tune` found best on the device; without its table clblast on a GPU, "
                          "packed on a processor. tune: try only one of them."},
    [OPT_MEMORY] = {.name = "memory",
                    .type = CLI_SIZE,
                    .argument = "SIZE",
                    .min = 1,
                    .max = 9007199254740991.0,
                    .commands = CLI_COMPUTE,
                    .def = "what the device allows",
                    .group = GROUP_DEVICE,
                    .help = "device memory the engine may use, such as 512MiB"},
    [OPT_KERNEL_DIR] = {.name = "kernel-dir",
                        .type = CLI_DIRECTORY,
                        .argument = "DIR",
                        .commands = CLI_COMPUTE,
                        .def = "the kernels inside the library",
                        .group = GROUP_DEVICE,
                        .help = "read the kernel sources from a folder (for development)"},
    [OPT_PROFILE] =
        {.name = "profile",
         .type = CLI_FLAG,
         .commands = CLI_TRAIN |
                     CLI_EVAL | CLI_SAMPLE | CLI_BENCH,
         .group = GROUP_DEVICE,
         .help = "time per kernel and its distance from what the device can do, on stderr",
         .text = "Over the steps (eval: batches) of this run after the first, without validation and saving: time, "
                 "share, runs, GFLOP/s and GB/s of each kernel, and what part the least time for its arithmetic and "
                 "its memory traffic, at the device's measured limits, is of the time it took. That is above 100 % "
                 "where data "
                 "come from a cache, and for Winograd convolutions, whose arithmetic is counted as that of the plain "
                 "algorithm. Every command is timed, which costs some speed. With --json a member "
                 "\"profile\" of the result, of eval's last line. bench: train and sample only."},
    [OPT_TRACE] = {.name = "trace",
                   .type = CLI_PATH,
                   .argument = "FILE.json",
                   .commands = CLI_TRAIN | CLI_EVAL | CLI_SAMPLE | CLI_BENCH,
                   .group = GROUP_DEVICE,
                   .help = "when which kernel ran, for chrome://tracing or ui.perfetto.dev",
                   .text = "Two rows: the first 50,000 commands of the device, and what the program did meanwhile "
                           "(data, plan, steps, validation, saving). bench: train and sample only."},
    [OPT_JSON] = {.name = "json",
                  .type = CLI_FLAG,
                  .commands = CLI_COMPUTE | CLI_CONVERT | CLI_INFO | CLI_PROGRAM,
                  .group = GROUP_OUTPUT,
                  .help = "results as JSON on stdout",
                  .text = "Numbers have enough digits to be read back exactly; a number that is not finite is null."},
    [OPT_QUIET] = {.name = "quiet",
                   .letter = 'q',
                   .type = CLI_FLAG,
                   .commands = CLI_ALL,
                   .group = GROUP_OUTPUT,
                   .help = "warnings and errors only"},
    [OPT_VERBOSE] = {.name = "verbose",
                     .letter = 'v',
                     .type = CLI_FLAG,
                     .commands = CLI_ALL,
                     .group = GROUP_OUTPUT,
                     .help = "more messages; with --device list, everything about each device"},
    [OPT_HELP] = {.name = "help",
                  .letter = 'h',
                  .type = CLI_FLAG,
                  .commands = CLI_ALL,
                  .group = GROUP_OUTPUT,
                  .help = "this help"},
    [OPT_VERSION] = {.name = "version",
                     .type = CLI_FLAG,
                     .commands = CLI_PROGRAM,
                     .group = GROUP_OUTPUT,
                     .help = "version of program and library"},
    [OPT_MAN] = {.name = "man",
                 .type = CLI_FLAG,
                 .commands = CLI_HELP,
                 .group = GROUP_OUTPUT,
                 .help = "the manual page, for `man -l -`"},
    [OPT_COMPLETION] = {.name = "completion",
                        .type = CLI_CHOICE,
                        .argument = "SHELL",
                        .choices = "bash|zsh|fish",
                        .commands = CLI_HELP,
                        .group = GROUP_OUTPUT,
                        .help = "completions for bash, zsh or fish"},
};

const cli_command cli_commands[] = {
    {.name = "train",
     .bit = CLI_TRAIN,
     .operands = "CONFIG",
     .max_operands = 1,
     .help = "train a model",
     .text = "Trains the model that CONFIG describes and writes a run folder. Ctrl-C (SIGINT) or SIGTERM saves and "
             "stops; --resume goes on to the numbers that an uninterrupted run gives.",
     .examples = {"bfncl train configs/tiny.yaml --out tiny", "bfncl train --out tiny --resume --steps 40",
                  "bfncl train configs/fashion16.yaml --dry-run"},
     .run = cli_train},
    {.name = "eval",
     .bit = CLI_EVAL,
     .operands = "MODEL",
     .min_operands = 1,
     .max_operands = 1,
     .help = "score data: nats and bits per dimension",
     .text = "MODEL is a model file, a run folder (then its best model), or with --config the weights of another "
             "program. Every number comes with its standard "
             "error over the examples, the receiver it was computed with and the number of draws. With --json: one "
             "object per line and entry of --loss-steps.",
     .examples = {"bfncl eval tiny --limit 64", "bfncl eval tiny --loss-steps inf,10 --limit 64 --json",
                  "bfncl eval tiny --limit 64 --over-time 5 --per-example scores.csv"},
     .run = cli_eval},
    {.name = "sample",
     .bit = CLI_SAMPLE,
     .operands = "MODEL",
     .min_operands = 1,
     .max_operands = 1,
     .help = "draw samples",
     .text = "Draws samples by Bayesian updates from t = 0 to 1 and prints the path of the file. MODEL is a model "
             "file, a run folder (then its best model), or with --config the weights of another program.",
     .examples = {"bfncl sample tiny -n 16 --steps 50 --seed 1 -o samples.png"},
     .run = cli_sample},
    {.name = "info",
     .bit = CLI_INFO,
     .operands = "FILE",
     .min_operands = 1,
     .max_operands = 1,
     .help = "what is in a model, checkpoint, data, molecules, text, configuration",
     .text = "Prints kind, number of parameters, tensors and configuration, and checks every checksum in the file. "
             "Needs no device.",
     .examples = {"bfncl info tiny/best.safetensors", "bfncl info configs/tiny.yaml --json", "bfncl info ema_model.pt"},
     .run = cli_info},
    {.name = "convert",
     .bit = CLI_CONVERT,
     .operands = "IN [OUT]",
     .min_operands = 1,
     .max_operands = 2,
     .help = "PyTorch weights to a model or to safetensors",
     .text = "IN is a PyTorch file (torch.save) or a safetensors file. With --config the result is a model of bfncl: "
             "weights, averaged weights (the same, where IN has one set only) and configuration in one file. So it is "
             "without, where IN holds the settings of its network, as MolCRAFT's checkpoints do. Else: the tensors as "
             "they are, without the prefixes module. and net. PyTorch files are read as data: nothing in them is "
             "executed.",
     .examples = {"bfncl convert ema_model.pt mnist.safetensors --config configs/mnist.yaml --size 28x28x1",
                  "bfncl convert molcraft.ckpt molcraft.safetensors", "bfncl convert weights.pt weights.safetensors"},
     .run = cli_convert},
    {.name = "verify",
     .bit = CLI_VERIFY,
     .operands = "[PATH...]",
     .max_operands = -1,
     .help = "replay golden vectors: is this device computing right?",
     .text = "PATH is a golden file or a folder that is searched for them; without PATH the vectors installed with "
             "the program are used. Prints for each tensor the largest error against its tolerance, names what is "
             "skipped and closes with the counts. Exits 5 when a tensor is outside its tolerance.",
     .examples = {"bfncl verify", "bfncl verify --device pocl:0 -q"},
     .run = cli_verify},
    {.name = "bench",
     .bit = CLI_BENCH,
     .operands = "peak | gemm | conv | attention | ops | train CONFIG | sample CONFIG",
     .min_operands = 1,
     .max_operands = 2,
     .help = "measure this device",
     .text =
         "peak: multiply-adds in registers, and copying between buffers of up to 256 MiB; the others give their share "
         "of it. gemm: matrix products with every provider. conv: convolutions, forward and both gradients; "
         "their arithmetic is counted as if computed directly, so that a kernel that needs less can be above the peak. "
         "attention: forward and backward. ops: everything that moves more than it computes, on tensors of up to 256 "
         "MiB (losses over all bins, which compute, on smaller ones); GB/s count each tensor that must be read or "
         "written once, whatever a kernel really moves, and GFLOP/s, "
         "where they are given, a function such as exp as one operation. train: the steps that `bfncl train` makes "
         "(flow, loss, gradients, optimiser, averages); sample: those of `bfncl sample`, one evaluation of the "
         "network each. Both run on made-up examples and fresh weights, so no data are needed where the "
         "configuration (data.size, data.length) or --size says how large an example is. Times are medians of "
         "repeated runs; the first run, in which drivers may compile, is given apart, and more warm up.",
     .examples = {"bfncl bench peak", "bfncl bench gemm --shape 2048x768x768 --shape 64*256x256x64:nt --json",
                  "bfncl bench train configs/bench/mnist.yaml"},
     .run = cli_bench},
    {.name = "tune",
     .bit = CLI_TUNE,
     .help = "find the fastest matrix products for a device",
     .text = "Tries providers, sizes and parameters on 30 classes of products, checks every result before it is timed, "
             "and writes a table that all commands use on this device from then on (with --gemm auto): a file in "
             "$XDG_CONFIG_HOME/bfncl or ~/.config/bfncl. A table for another driver or of another version is left out "
             "with a warning. Results stay reproducible as long as the table stays; another table may change their "
             "last bits, which a resumed run says. On a processor CLBlast is tried only with --gemm clblast. Ctrl-C "
             "ends the search and keeps what was found.",
     .examples = {"bfncl tune --seconds 60", "bfncl tune --list", "bfncl tune --reset"},
     .run = cli_tune},
    {.name = "help",
     .bit = CLI_HELP,
     .operands = "[COMMAND | config]",
     .max_operands = 1,
     .help = "help on a command, or on the keys of a configuration",
     .text = "help config lists every configuration key with its type, default and meaning.",
     .examples = {"bfncl help train", "bfncl help config", "bfncl help --man | man -l -"},
     .run = cli_help},
};

const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

const cli_exit_code cli_exit_codes[] = {
    {0, "success"},
    {1, "failure at run time: input or output, memory, an OpenCL call"},
    {2, "wrong usage or wrong configuration"},
    {3, "no such device, none usable, or the selector fits several"},
    {4, "input file missing, damaged or of the wrong kind"},
    {5, "loss not finite after all retries, or a verification failed"},
    {130, "stopped by SIGINT after saving"},
    {143, "stopped by SIGTERM after saving"},
    {0, NULL},
};

const cli_variable cli_variables[] = {
    {"BFNCL_DEVICE", "device selector; --device comes before it, the configuration after it"},
    {"BFNCL_CACHE", "folder for built kernels and build logs, instead of $XDG_CACHE_HOME/bfncl or ~/.cache/bfncl; off: "
                    "no kernels are kept"},
    {"BFNCL_TUNE", "the table of bfncl tune to use; empty: none"},
    {"NO_COLOR", "when set and not empty, no colours"},
    {"POCL_CACHE_DIR",
     "where POCL keeps compiled kernels; set by bfncl below the user's cache folder when it is not set"},
    {"OCL_ICD_VENDORS", "OpenCL drivers to load (read by the loader library)"},
    {NULL, NULL},
};

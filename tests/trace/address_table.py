"""The addresses of every kind of construction, and what each of them gives.

A row is what must come out, the addresses that all give it, and the Keras it holds for, if not for
both. What must come out is computed by numpy, or what a hook saw in an eager run, as
`LAYER CALL PORT NUMBER`: "sum in 1", "shared 2"; left out are call 0, port out and number 0. The
port `steps` is all calls of a cell in an RNN, stacked; `data` is what went into the model.
"""

from __future__ import annotations

import constructions as c
import keras
import numpy as np
import tf_keras


def before_activation(ref):
    kernel, bias = ref.model.get_layer("a").get_weights()
    return ref.data @ kernel + bias


def a_plus_data(ref):
    return ref["a"] + ref.data


def doubled(ref):
    return a_plus_data(ref) * 2


def encoders_added(ref):
    return ref["encoder"] + ref["encoder 1"]


def step_by_step(layer):
    return lambda ref: np.moveaxis(ref[layer], 1, 0)


def queries(ref):
    kernel, bias = ref.model.get_layer("mha").get_weights()[:2]
    return np.einsum("nti,ihd->nthd", ref.data, kernel) + bias


def is_token(ref):
    return ref.data != 0


def in_bins(ref):
    return np.digitize(ref.data, [-0.5, 0, 0.5])


def counts(ref):
    return np.stack([np.bincount(row, minlength=4) for row in ref.data])


def normalized(ref):
    return (ref.data - [1, 2, 3, 4]) / 2


# Vocabularies begin at 1, and 0 is for what they don't have.
WORDS = [[1, 2], [0, 1], [2, 2]]
IDS = [[1, 2], [0, 1], [2, 0]]
HOT = [[0, 1, 1], [1, 1, 0], [1, 0, 1]]
# The indices of "the cat, the dog", "emu" and "dog dog cat dog dog": 1 is for unknown words.
TOKENS = [[1, 2, 1, 3], [1, 0, 0, 0], [3, 3, 2, 3]]

TABLE = {
    c.functional: [
        ("data", "seq at:0 a:in"),
        ("a", "a a:out a[0] at:1 re:a x=a **/a b:in sum:in[0] a//Relu"),
        ("b", "b b:out at:-2 re:[^a] sum:in[1] sum:in[-1] sum:in[1:] b//BiasAdd b//B*:0"),
        ("sum", "sum at:-1 s?m su* type:Add sum:out[0]"),
        ("a, b", "? type:Dense sum:in sum:in[:] sum:in[0:2] re:[ab]"),
        (before_activation, "a//BiasAdd a//BiasAdd:0 a//*Add before=a//Bias* //*/a*/BiasAdd"),
        ("data, a, b, sum", "** re:.*"),
    ],
    c.functional_operators: [
        ("a", "a a:out at:1 re:a x=a **/a a//BiasAdd a//*Add //*/a*/BiasAdd"),
        ("a, data", "add:in add:in[:2]", keras),
        (a_plus_data, "add multiply:in type:Add a?d re:ad+ **/add added=add add//Add", keras),
        (doubled, "multiply subtract:in type:Multiply multiply//M*", keras),
        ("a, data", "tf.__operators__.add:in", tf_keras),
        (a_plus_data, "tf.__operators__.add at:2 *add tf.math.multiply:in *.add//AddV2", tf_keras),
        (doubled, "tf.math.multiply at:3 tf.math.subtract:in tf.math.multiply//M*", tf_keras),
        ("a, b", "? type:Dense re:[ab]"),
    ],
    c.sequential: [
        ("data", "a:in type:InputLayer"),
        ("a", "a a:out at:0 x=a drop:in a//BiasAdd //*/a*/BiasAdd"),
        ("drop", "drop at:1 type:Dropout d* re:dr.p line:in drop//Identity **/drop"),
        ("line", "line at:-2 type:Activation line:out[0] line//* b:in"),
        ("data, a, drop, line, b", "**"),
    ],
    c.nested_three_deep: [
        ("data", "seq mid:in mid/inner:in mid/inner/d:in"),
        ("d", "mid/inner mid/inner/d inner */*/d re:mid/inner/d x=mid/inner/d mid/**/inner"),
        ("d", "mid/inner/d:out mid/inner/d//BiasAdd mid/inner//d*/BiasAdd mid//inner*/d*/BiasAdd"),
        ("d 1", "mid at:1 m?d mid/d m?d/d d:in mid/? mid//d*/BiasAdd"),
        ("d", "//*/mid*/inner*/BiasAdd"),
        ("d 2", "d at:-1 d:out d//BiasAdd"),
        ("mid, inner", "type:Sequential re:mid(/inner)?"),
        ("d, d 1, d 2", "**/d type:Dense re:(.*/)?d"),
        ("data, d", "mid/inner/* mid/inner/**"),
    ],
    c.shared: [
        ("data", "seq at:0 shared@0:in"),
        ("shared", "shared@0 shared@0:out shared@1:in re:.*@0 x=shared@0"),
        ("shared 1", "shared@1 shared@1[0] shared@2:in s*@1 shared@1//B*"),
        ("shared 1", "shared@1//BiasAdd", keras),
        ("shared 1", "shared@1//BiasAdd_1", tf_keras),
        ("shared, shared 1, shared 2", "shared@* type:Dense sh*@* **/shared shared@*//Bias*"),
        ("data, shared, shared 1", "shared@*:in type:Dense:in"),
        ("data, shared, shared 1, shared 2", "**"),
        ("shared, shared 1, shared 2", "//*/BiasAdd*"),
    ],
    c.custom_layer: [
        ("data", "seq at:0 block:in block/d0:in"),
        ("block out 2", "block['out'] block[out] block[0] head:in block:out[0]"),
        ("block out 0", "block['aux.0'] block[1] block[-2] aux=block[1:2] block//mul"),
        ("block out 2, block out 0, block out 1", "block at:1 block[:] type:Block re:block b*k"),
        ("block out 0, block out 1", "block[1:] block:out[1:] block[-2:]"),
        ("d0", "block/d0 d0 block/d0:out **/d0 block/d0//BiasAdd block//d0*/BiasAdd"),
        ("bn", "block/bn type:BatchNormalization block/b* block//bn*/add_1"),
        ("d0, d1", "block/d? block/d* re:block/d.* //*/d?*/BiasAdd"),
        ("head", "head at:-1 x=head"),
    ],
    c.subclassed: [
        ("data", "encoder@0:in encoder@0/e1:in"),
        ("encoder", "encoder@0 encoder@0/e2 en*@0 re:encoder@0 x=encoder@0 encoder@0//e2*/B*"),
        ("encoder 1", "encoder@1 encoder@1/e2 encoder@1:out"),
        ("e1 1", "encoder@1/e1 encoder@1/e2:in encoder@1/**/e1"),
        ("e1, e1 1", "encoder@*/e1 **/e1 e*@*/?1"),
        ("encoder, encoder 1", "encoder@* type:Sequential encoder@*/e2"),
        (encoders_added, "head:in"),
        ("head", "head at:1 at:-1 h* **/head"),
        ("head", "head//Add //*/head*/Add", keras),
        ("head", "head//BiasAdd //*/head*/BiasAdd", tf_keras),
    ],
    c.time_distributed: [
        ("data", "seq at:0 td:in"),
        ("td", "td td:out at:1 at:-1 type:TimeDistributed t? re:t. x=td"),
        ("td", "td//transpose_1", keras),
        ("d 3", "td/d@3 td/d@3//BiasAdd_3 td//*Add_3 td/d@3//B* //*/BiasAdd_3", keras),
        ("d, d 1, d 2, d 3, d 4, d 5, d 6", "td/d@* d@* **/d type:Dense td/?@*", keras),
        ("td", "td//Reshape_1 td//*_1 //*/Reshape_1", tf_keras),
        ("d", "td/d d **/d type:Dense td/? td/d//BiasAdd td//d/B*", tf_keras),
    ],
    c.bidirectional: [
        ("data", "seq at:0 bi:in bi/forward_l:in bi/backward_l:in"),
        ("bi", "bi bi:out at:1 at:-1 type:Bidirectional b? re:bi x=bi bi//concat bi//con*"),
        ("forward_l", "bi/forward_l forward_l bi/f* re:bi/f[^/]+ **/forward_l"),
        ("forward_l, backward_l", "bi/*_l type:LSTM"),
        (step_by_step("forward_l"), "bi/forward_l//*while*/mul_2 //*/forward_l*/mul_2"),
        (step_by_step("forward_l"), "bi/forward_l/lstm_cell[0] bi/f*/*[0]", keras),
    ],
    c.recurrent: [
        ("data", "seq at:0 lstm:in"),
        ("lstm out 0, lstm out 1, lstm out 2", "lstm lstm:out lstm[:] at:1 type:LSTM l* re:lstm"),
        ("lstm out 0", "lstm[0] lstm[-3] lstm[:1] steps=lstm[0] **/lstm[0]"),
        ("lstm out 1, lstm out 2", "lstm[1:] lstm[-2:] lstm:out[1:3]"),
        (step_by_step("lstm"), "lstm//*while*/mul_2 states=lstm//*/mul_2 //*/mul_2"),
        (step_by_step("lstm"), "lstm/lstm_cell//mul_2 lstm/lstm_cell[0]", keras),
        ("lstm out 0", "lstm//transpose_1", keras),
        ("lstm out 0", "lstm//PartitionedCall/transpose_1", tf_keras),
    ],
    c.rnn_of_a_cell: [
        ("data", "seq at:0 rnn:in"),
        ("rnn", "rnn rnn:out at:1 type:RNN r* re:rnn x=rnn rnn//transpose_1 rnn//*pose_1"),
        ("the_cell steps 0", "rnn/the_cell[0] rnn/*[0] the_cell[0]"),
        ("the_cell steps 0", "rnn/the_cell//mul_2 rnn//while/*/mul_2 //*/mul_2 **/the_cell[0]"),
        ("the_cell steps 2", "rnn/the_cell[2] rnn/the_cell[-1] cell=rnn/the_cell[2]"),
        ("the_cell steps 1, the_cell steps 2", "rnn/the_cell[1:] type:LSTMCell[1:]"),
        (step_by_step("rnn"), "rnn/the_cell[1] rnn/the_cell//mul_2"),
    ],
    c.attention: [
        ("data", "seq at:0 mha:in[0] mha:in[1] mha/query:in"),
        ("data, data", "mha:in mha:in[:]"),
        ("mha", "mha mha:out at:-1 type:MultiHeadAttention m* re:mha x=mha"),
        ("mha", "mha/attention_output mha/attention_output//*dd mha//att*dd"),
        (queries, "mha/query query mha/q* **/query re:mha/q.*"),
        (queries, "mha/query//Add mha//query*/Add //*/query*/Add", keras),
        (queries, "mha/query//add mha//query/add //*/query/add", tf_keras),
        ("query, key, value, attention_output", "type:EinsumDense"),
    ],
    c.masked: [
        ("data", "tokens at:0 emb:in"),
        ("emb", "emb emb:out at:1 type:Embedding emb* drop:in re:emb x=emb"),
        ("drop", "drop at:2 drop//Identity drop//* //*/drop*/Identity gru:in[0]"),
        (is_token, "emb:mask drop:mask mask=drop:mask d*:mask type:Dropout:mask"),
        (is_token, "gru:in[1] not_equal", keras),
        (is_token, "emb//NotEqual", tf_keras),
        ("gru", "gru at:-1 type:GRU **/gru"),
    ],
    c.mixed_precision: [
        ("data", "a:in type:InputLayer"),
        ("a", "a a:out at:0 a* re:a x=a b:in a//BiasAdd a//*Add //*/a*/BiasAdd **/a"),
        ("b", "b at:1 at:-1 b//BiasAdd"),
        ("a, b", "type:Dense ?"),
    ],
    c.augmentation: [
        ("data", "flip flip:in at:0 type:RandomFlip scale:in"),
        ("scale", "scale at:1 type:Rescaling s* re:sc.* x=scale conv:in scale//add scale//*d"),
        ("conv", "conv conv:out **/conv conv//BiasAdd //*/conv*/BiasAdd type:Conv2D"),
        ("pool", "pool pool//Mean pool//* at:-1"),
    ],
    c.keyword_tensors: [
        ("data p", "p at:0 a:in blend:in[0]"),
        ("data q", "q at:1 blend:in[1] blend:in[3] blend:in[-1]"),
        ("data p, data q, a, data q", "blend:in blend:in[:] type:Blend:in"),
        ("data q, a", "blend:in[1:3] blend:in[-3:-1]"),
        ("a", "a a:out at:2 blend:in[2] re:a a//BiasAdd a//B* //*/a*/BiasAdd x=a"),
        ("blend", "blend type:Blend b* **/blend blend//add"),
    ],
    c.string_lookup: [
        ("data", "text at:0 words:in type:InputLayer"),
        (WORDS, "words words:out at:1 type:StringLookup w* re:words emb:in"),
        (WORDS, "x=words **/words words//Identity words//Id* //*/words*/Identity"),
        ("emb", "emb at:-1"),
    ],
    c.integer_lookup: [
        ("data", "numbers at:0 ids:in"),
        (HOT, "ids ids:out at:1 type:IntegerLookup i* re:ids a:in"),
        (HOT, "x=ids **/ids ids//bincount/DenseBincount ids//*Dense*"),
        (IDS, "ids//Identity //*/ids*/Identity"),
        ("a", "a at:-1 a//BiasAdd"),
    ],
    c.text_vectorization: [
        ("data", "text at:0 words:in"),
        (TOKENS, "words words:out at:1 type:TextVectorization w* re:words x=words emb:in **/words"),
        (TOKENS, "words//RaggedToTensor/RaggedTensorToTensor words//*ToTensor //*ToTensor"),
        ("emb", "emb at:-1"),
    ],
    c.hashing: [
        ("data", "text at:0 hash:in"),
        ("hash", "hash hash:out at:1 type:Hashing h* re:hash x=hash emb:in **/hash hash//hash"),
        ("hash", "//*/hash*/hash hash//has*"),
    ],
    c.discretization: [
        ("data", "row at:0 bins:in"),
        (in_bins, "bins bins:out at:1 type:Discretization b* re:bins x=bins emb:in **/bins"),
        (in_bins, "bins//Bucketize bins//Bucket* //*/Bucketize"),
        ("emb", "emb at:-1"),
    ],
    c.category_encoding: [
        ("data", "numbers at:0 count:in"),
        (counts, "count count:out at:1 type:CategoryEncoding c* re:count x=count a:in **/count"),
        (counts, "count//bincount/DenseBincount count//*Dense* //*DenseBincount"),
        ("a", "a at:-1"),
    ],
    c.normalization: [
        ("data", "row at:0 norm:in"),
        (normalized, "norm norm:out at:1 type:Normalization n* re:norm x=norm a:in **/norm"),
        (normalized, "norm//truediv norm//true* //*/truediv"),
        ("a", "a at:-1"),
    ],
    c.unknown_sizes: [
        ("data", "image at:0 conv:in"),
        ("conv", "conv conv:out at:1 type:Conv2D c* re:conv x=conv pool:in **/conv conv//BiasAdd"),
        ("conv", "conv//*Add //*/BiasAdd"),
        ("pool", "pool at:-1 pool//M*"),
    ],
}

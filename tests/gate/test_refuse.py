import pytest
from gate.hostile.names import BYTECODE, HONEST, HOSTILE, LAMBDA, dense, function, layer

from kprobe.errors import Setting, UnsafeModelError
from kprobe.gate.names.walk import list_registered_names
from kprobe.gate.refuse import check_safe
from kprobe.models.file import read_model_file

SOURCE = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}


def sequential(*layers):
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [SOURCE, *layers]}}


TENSORS = ": expected a function of tensors, received"
FOREIGN = ", which is not Keras's own"
UNUSED = ", which models aren't made of"
# What is said of each, behind the layer's name.
FAULTS = {
    "a Lambda layer": " has a Lambda, which runs Python code",
    "a Lambda layer of Keras 3": " has a Lambda, which runs Python code",
    "a registered Lambda": " has a Lambda, which runs Python code",
    "a Lambda under a registered name": " has a Lambda, which runs Python code",
    "a Lambda under another layer's module": " has a Lambda, which runs Python code",
    "a lambda in an argument": " has a __lambda__, which runs Python code",
    "a lambda deep in a wrapper": " has a __lambda__, which runs Python code",
    "bytecode in a cell": " holds Python bytecode (residual_fn_type 'lambda')",
    "Python's eval": " names Python's own function eval",
    "a function of the standard library": f" names the function os.system{FOREIGN}",
    "a function of an unknown module": f" names the function evil.go{FOREIGN}",
    "a function that isn't a name": " holds a function that isn't a name",
    "a layer of the standard library": f" is of class system (module os){FOREIGN}",
    "a class of the standard library": f" names subprocess.Popen{FOREIGN}",
    "an initializer of an unknown module": f" names evil.Ones{FOREIGN}",
    "keras's downloads": f" names the function keras.utils.get_file{UNUSED}",
    "keras's downloads as a layer": f" names keras.utils.get_file{UNUSED}",
    "keras's loader": f" names keras.models.load_model{UNUSED}",
    "keras's switch for safe mode": (
        f" names the function keras.config.enable_unsafe_deserialization{UNUSED}"
    ),
    "an application that fetches weights": f" names keras.applications.VGG16{UNUSED}",
    "a module that a real one imports": (
        f" names the function keras.src.ops.core.importlib.import_module{UNUSED}"
    ),
    "a module that isn't one of keras's": f" names the function keras.ops.core.go.go{UNUSED}",
    "a function that makes any object": (
        f" names the function tf_keras.src.losses.deserialize_keras_object{UNUSED}"
    ),
    "a module imported by keras's own": f" names the function keras.layers.tf.io.gfile{UNUSED}",
    "a class inside a module's import": f" names tf_keras.src.layers.tf.Module{UNUSED}",
    "a lookalike of keras": f" names the function keras_evil.activations.go{FOREIGN}",
    "tf.py_function": f"{TENSORS} tf.py_function",
    "tf.io.write_file": f"{TENSORS} tf.io.write_file",
    "tf.io.read_file of TensorFlow 1": f"{TENSORS} tf.compat.v1.io.read_file",
    "tf.raw_ops": f"{TENSORS} tf.raw_ops.WriteFile",
    "tf.load_op_library": f"{TENSORS} tf.load_op_library",
    "tf.print, which writes files": f"{TENSORS} tf.print",
    "keras by way of TensorFlow": f"{TENSORS} tf.keras.utils.get_file",
    "a class as a function": f"{TENSORS} tf.random.Generator",
    "no function at all": f"{TENSORS} one without a name",
    "an operation that writes": f"{TENSORS} the operation WriteFile",
    "an operation in binary": f"{TENSORS} one without a name",
    "any class method": (
        ": expected a constructor of RaggedTensor, received tf.io.gfile.GFile.write"
    ),
    "any method": " uses the attribute '__init__' of its input",
    "any attribute": " uses the attribute '__class__' of its input",
    "a SavedModel": " has a TFSMLayer, which loads and runs the SavedModel '/tmp/x'",
    "a pickle": " has a TorchModuleWrapper, which loads a pickle",
    "a vocabulary file": " reads its vocabulary from the file '/etc/passwd'",
    "an input type of another module": " has an input type Popen of module subprocess",
    "a nested model's compile_config": f" names the function os.system{FOREIGN}",
    "a class name that isn't text": " has a class name that isn't text: ['x']",
    "a module name that isn't text": " has a module name that isn't text: {'x': 1}",
    "a file that TensorFlow reads": (
        f" names the function tensorflow.python.ops.gen_io_ops.read_file{FOREIGN}"
    ),
    "Python that TensorFlow runs": (
        f" names the function tensorflow.python.ops.script_ops.py_func{FOREIGN}"
    ),
    "a module that TensorFlow's imports": (
        f" names the function tensorflow.python.ops.nn_ops.importlib.import_module{FOREIGN}"
    ),
    "an activation that is registered as something else": (
        f" names the function tensorflow.python.ops.gen_nn_ops.relu{FOREIGN}"
    ),
    "another class of TensorFlow's": (
        f" names tensorflow.python.ops.lookup_ops.TextFileInitializer{FOREIGN}"
    ),
    "what an initializer's module imports": f" names tensorflow.python.ops.init_ops_v2.np{FOREIGN}",
    "an initializer that is registered as something else": (
        f" names tensorflow.python.ops.init_ops_v2.Zeros as np{UNUSED}"
    ),
    "a lookalike of tensorflow": (
        f" names the function tensorflow_evil.python.ops.gen_nn_ops.relu{FOREIGN}"
    ),
    "an application as an initializer": (
        f" names keras.applications.inception_resnet_v2.InceptionResNetV2{UNUSED}"
    ),
    "a layer that isn't text": " has a module name that isn't text: ['os']",
    "a function of a module that isn't text": " has a module name that isn't text: ['os']",
}

NOT_THERE = {
    "a function of an unknown module",
    "an initializer of an unknown module",
    "a lookalike of keras",
    "a lookalike of tensorflow",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_would_run_something_is_refused(write_h5, write_keras, name):
    for path in (write_h5(sequential(HOSTILE[name])), write_keras(sequential(HOSTILE[name]))):
        with pytest.raises(UnsafeModelError) as caught:
            check_safe(read_model_file(path))
        assert caught.value.exit_code == 4
        assert caught.value.faults == (f"layer 'a'{FAULTS[name]}",)
        # What is merely not there is asked for; else nothing but trust helps.
        pushes = "unsafe=True" in caught.value.hint
        assert pushes != ("give it with `custom_objects=" in caught.value.hint)
        assert pushes == (name not in NOT_THERE)
        assert all("\n" not in fault for fault in caught.value.faults)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_file_is_not_refused(write_h5, name):
    check_safe(read_model_file(write_h5(sequential(HONEST[name]))))


@pytest.mark.parametrize("tag", ["k2", "k3"])
@pytest.mark.parametrize("name", ["big.h5", "big.keras", "plain.h5", "plain.keras"])
def test_what_keras_saves_is_not_refused(saved, tag, name):
    check_safe(read_model_file(saved / f"{tag}_{name}"))


def test_the_models_own_compile_config_is_left_alone(write_keras):
    config = {**sequential(), "compile_config": {"loss": function("system", "os")}}
    check_safe(read_model_file(write_keras(config)))


@pytest.mark.parametrize("registered_name", ["ROI", "Custom>ROI"])
def test_a_custom_layer_needs_to_be_registered(write_keras, registered_name):
    custom = layer("ROI", "my_layers", registered_name, name="roi")
    model = read_model_file(write_keras(sequential(custom)))
    with pytest.raises(UnsafeModelError) as caught:
        check_safe(model)
    assert caught.value.exit_code == 4
    assert caught.value.faults == (
        "layer 'roi' is of class ROI (module my_layers), which is not Keras's own",
    )
    assert caught.value.hint == 'give it with `custom_objects={"ROI": ROI}`'
    check_safe(model, {"ROI"})
    check_safe(model, {registered_name})
    assert registered_name in list_registered_names(model)


def test_a_custom_layer_without_a_module_needs_to_be_registered(write_h5):
    wrapped = layer("TimeDistributed", layer=layer("ROI", name="roi"))
    model = read_model_file(write_h5(sequential(wrapped)))
    with pytest.raises(
        UnsafeModelError, match="layer 'roi' is of class ROI, which is not Keras's own"
    ):
        check_safe(model)
    check_safe(model, ["ROI"])


def test_a_custom_function_needs_to_be_registered(write_keras):
    model = read_model_file(write_keras(sequential(dense(activation=function("swirl")))))
    with pytest.raises(UnsafeModelError, match="uses the function swirl, which is not Keras's own"):
        check_safe(model)
    check_safe(model, {"swirl"})


def test_a_subclassed_model_needs_to_be_registered(saved):
    model = read_model_file(saved / "k3_tower.keras")
    with pytest.raises(UnsafeModelError, match="the model is of class Tower"):
        check_safe(model)
    check_safe(model, {"Tower"})


def test_all_faults_are_reported_at_once(write_keras):
    custom = layer("ROI", "my_layers", None, name="roi")
    code = layer("Lambda", name="code")
    name = dense(activation=function("eval"))
    model = read_model_file(write_keras(sequential(custom, code, name)))
    with pytest.raises(UnsafeModelError) as caught:
        check_safe(model)
    assert caught.value.faults == (
        "layer 'code' has a Lambda, which runs Python code",
        "layer 'a' names Python's own function eval",
        "layer 'roi' is of class ROI (module my_layers), which is not Keras's own",
    )
    assert caught.value.hint == (
        'give it with `custom_objects={"ROI": ROI}`; '
        "`unsafe=True` opens it all the same: only for files you trust"
    )


def test_a_fault_of_many_layers_is_told_once(write_keras):
    rois = [layer("ROI", "my_layers", None, name=f"roi_{number}") for number in range(15)]
    codes = [layer("Lambda", name=name) for name in ("code", "more")]
    odd = [layer("TFOpLambda", function="py_function", name=name) for name in ("one", "two")]
    inits = [
        dense(kernel_initializer={"module": "mine", "class_name": "Init", "config": {}})
        for _ in range(2)
    ]
    inits[1]["config"]["name"] = "b"
    model = read_model_file(write_keras(sequential(*rois, *codes, *odd, *inits)))
    with pytest.raises(UnsafeModelError) as caught:
        check_safe(model)
    shown = ", ".join(f"'roi_{number}'" for number in range(4))
    assert caught.value.faults == (
        "layers 'code', 'more': each has a Lambda, which runs Python code",
        "layers 'one', 'two': expected a function of tensors, received tf.py_function",
        f"layers {shown} and 11 more: each is of class ROI (module my_layers), which is not "
        "Keras's own",
        "layers 'a', 'b': each names mine.Init, which is not Keras's own",
    )


def test_the_module_that_would_help_is_named(write_keras, tmp_path, monkeypatch):
    """As the command line spells it, if it is there: nothing of it is imported."""
    (tmp_path / "swirl_layers.py").write_text("raise SystemExit('imported')")
    (tmp_path / "swirl_package").mkdir()
    (tmp_path / "swirl_package" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)

    def hint(*layers):
        with pytest.raises(UnsafeModelError) as caught:
            check_safe(read_model_file(write_keras(sequential(*layers))))
        spelt = " ".join(
            f"{setting.name} {value}"
            for part in caught.value.remedy.parts
            for setting in part.parts
            if isinstance(setting, Setting)
            for value in ([setting.value] if isinstance(setting.value, str) else setting.value)
        )
        assert "unsafe" not in str(caught.value)
        return spelt

    first = layer("ROI", "swirl_layers", None)
    second = layer("FPN", "swirl_package.inner", None, name="b")
    third = layer("ROI", "swirl_layers", None, name="c")
    initializer = {"module": "swirl_layers", "class_name": "Init", "config": {}}
    assert hint(first) == "custom_objects swirl_layers"
    assert hint(second) == "custom_objects swirl_package.inner"
    assert hint(first, second, third) == (
        "custom_objects swirl_layers custom_objects swirl_package.inner"
    )
    assert hint(dense(kernel_initializer=initializer)) == "custom_objects swirl_layers"
    for module in ("swirl_gone", "swirl_layers.__main__", "-x", "swirl layers", "a" * 9999, ""):
        assert hint(layer("ROI", module, None)) == "custom_objects FILE.py"


@pytest.mark.parametrize(
    "config",
    [
        {"function": LAMBDA, "output_shape": LAMBDA},
        {"function": BYTECODE, "function_type": "lambda"},
    ],
)
def test_a_lambda_is_one_fault(write_keras, config):
    model = read_model_file(write_keras(sequential(layer("Lambda", **config))))
    with pytest.raises(UnsafeModelError) as caught:
        check_safe(model)
    assert caught.value.faults == ("layer 'a' has a Lambda, which runs Python code",)


def test_registering_a_name_does_not_open_a_lambda(write_h5):
    model = read_model_file(write_h5(sequential(layer("Lambda"))))
    with pytest.raises(UnsafeModelError):
        check_safe(model, {"Lambda"})


def test_a_class_that_is_not_looked_up_is_not_made_safe_by_its_name(write_keras):
    # Where no registered name is given, tf_keras imports the module.
    custom = layer("ROI", "evil", None, name="roi")
    model = read_model_file(write_keras(sequential(custom), version="2.15.0"))
    with pytest.raises(UnsafeModelError, match=r"layer 'roi' is of class ROI \(module evil\)"):
        check_safe(model, {"ROI"})
    check_safe(read_model_file(write_keras(sequential(dense()))), {"Dense"})


def test_only_the_registered_names_are_accepted(write_keras):
    custom = layer("ROI", "my_layers", "mine>ROI", name="roi")
    model = read_model_file(write_keras(sequential(custom)))
    for name in ("mine>ROI", "ROI"):
        check_safe(model, {name})
    for name in ("other>ROI", "my_layers>ROI", "roi", "RO"):
        with pytest.raises(UnsafeModelError):
            check_safe(model, {name})

// Print what h5wasm reads of the datasets of a dump, a line for each.
import h5wasm from "h5wasm/node";

await h5wasm.ready;
const [path, ...names] = process.argv.slice(2);
const file = new h5wasm.File(path, "r");
for (const name of names) {
  const dataset = file.get(name);
  Object.values(dataset.attrs).map((attribute) => attribute.value);
  const values = Array.from(dataset.value).map((value) =>
    // What is marked as ASCII comes with a character for each byte.
    typeof value === "string" ? Buffer.from(value, "latin1").toString() : String(value),
  );
  console.log([name, ...values].join("\t"));
}
file.close();

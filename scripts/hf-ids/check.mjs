// Compares ids with Hugging Face's tokenizers library in JavaScript, and the
// chat template's tokens with <bos>, question, newline.
import { Template } from "@huggingface/jinja";
import { Tokenizer } from "@huggingface/tokenizers";
import fs from "node:fs";
import path from "node:path";

const dir = process.argv[2];
let failed = 0;
for (const name of fs.readdirSync(dir).sort()) {
  const read = (f) => JSON.parse(fs.readFileSync(path.join(dir, name, f), "utf8"));
  const config = read("tokenizer_config.json");
  const tokenizer = new Tokenizer(read("tokenizer.json"), config);
  let same = 0, back = 0, n = 0;
  for (const { text, ids } of read("examples.json")) {
    n++;
    const got = tokenizer.encode(text, { add_special_tokens: false }).ids;
    if (JSON.stringify(got) === JSON.stringify(ids)) same++;
    else console.log(`${name}: ${JSON.stringify(text)} gives ${got}, ours ${ids}`);
    if (ids.length === 0 || tokenizer.decode(ids) === text) back++;
    else console.log(`${name}: ${JSON.stringify(text)} is decoded as ${JSON.stringify(tokenizer.decode(ids))}`);
  }
  const prompt = new Template(config.chat_template).render({
    bos_token: config.bos_token,
    add_generation_prompt: true,
    messages: [
      { role: "system", content: "Be brief." }, { role: "user", content: "What?" },
      { role: "assistant", content: "19" }, { role: "user", content: "  ab {{x}}\nabc " },
    ],
  });
  const chat = tokenizer.encode(prompt, { add_special_tokens: false }).ids;
  const plain = tokenizer.encode("  ab {{x}}\nabc \n").ids; // with <bos> by default
  const agrees = chat[0] === 1 && JSON.stringify(chat) === JSON.stringify(plain);
  console.log(`${name}: ${same} of ${n} texts have the same ids, ${back} decode to the same text, ` +
    `the chat template gives ${agrees ? "<bos> question newline" : JSON.stringify(prompt)}`);
  if (same !== n || back !== n || !agrees) failed = 1;
}
process.exit(failed);

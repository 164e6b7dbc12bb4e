// Brown corpus, tagged form ("word/tag" tokens, one file a text) -> JSON lines with plain English.
// Usage: node brown_to_jsonl.js FOLDER_OF_TEXTS OUT.jsonl
'use strict';
const fs = require('fs');
const path = require('path');

// Genre letters and the four groups of the Brown Corpus Manual (Francis and Kucera, 1964, revised 1979).
const genres = {
  a: ['press', 'reportage'], b: ['press', 'editorial'], c: ['press', 'reviews'],
  d: ['general-prose', 'religion'], e: ['general-prose', 'skills-and-hobbies'],
  f: ['general-prose', 'popular-lore'], g: ['general-prose', 'belles-lettres'],
  h: ['general-prose', 'government'], j: ['learned', 'learned'],
  k: ['fiction', 'general-fiction'], l: ['fiction', 'mystery'], m: ['fiction', 'science-fiction'],
  n: ['fiction', 'adventure'], p: ['fiction', 'romance'], r: ['fiction', 'humor'],
};
const TEXTS = 500;

// Codes of the punched cards: "*0" is a degree sign, "**yl" and "{t}" mark letters of another alphabet or
// type.
function plain(word) {
  return word.replace(/\*\*z\w|\*\*b/g, '').replace(/\*\*y/g, '').replace(/\*&?0/g, '\u00b0')
    .replace(/[{}]/g, '').replace(/``|''/g, '"');
}

// The words of a paragraph. The tagged form doubles some stops ("; ;", "Jr. .") and puts commas and full
// stops behind closing quotes; both are undone.
function wordsOf(paragraph) {
  const words = [];
  for (const token of paragraph.split(/\s+/).filter(Boolean)) {
    const word = token.slice(0, Math.max(token.lastIndexOf('/'), 0)) || token;
    const last = words.length - 1;
    if (/^[;?!]$/.test(word) && words[last] === word) continue;
    if (word === '.' && last >= 0 && words[last].endsWith('.')) continue;
    if (/^[,.]$/.test(word) && words[last] === "''") words.splice(last, 0, word);
    else words.push(word);
  }
  return words;
}

function sentencesOf(paragraph) {
  let text = '', glue = true, open = 0;
  for (const word of wordsOf(paragraph)) {
    const quote = word === "'";
    const opens = word === '``' || /^[([]$/.test(word) || (quote && open === 0);
    const closes = !opens && (quote || word === "''" || /^(?:[)\],.;:?!]|\.\.\.)$/.test(word));
    if (quote) open = 1 - open;
    const spelled = plain(word);
    if (spelled === '') continue;
    text += (glue || closes ? '' : ' ') + spelled;
    glue = opens;
  }
  return text;
}

function documentOf(folder, name) {
  const tagged = fs.readFileSync(path.join(folder, name), 'latin1');
  const [domain, subdomain] = genres[name[1]];
  const text = tagged.split(/\n\s*\n/).map(sentencesOf).filter(Boolean).join('\n');
  return { text, domain, subdomain, id: name };
}

function main(folder, out) {
  const names = fs.readdirSync(folder).filter((name) => /^c[a-hj-npr]\d\d$/.test(name)).sort();
  if (names.length !== TEXTS) throw new Error(`${folder}: ${names.length} texts, not ${TEXTS}`);
  const documents = names.map((name) => documentOf(folder, name));
  fs.writeFileSync(out, documents.map((d) => JSON.stringify(d) + '\n').join(''));
  const groups = {};
  for (const d of documents) {
    const group = (groups[d.domain] ||= { texts: 0, bytes: 0 });
    group.texts++;
    group.bytes += Buffer.byteLength(d.text);
  }
  for (const [name, g] of Object.entries(groups)) console.log(`${name}: ${g.texts} texts, ${g.bytes} bytes`);
}

try {
  main(process.argv[2], process.argv[3]);
} catch (error) {
  console.error(`brown_to_jsonl: ${error.message}`);
  process.exit(1);
}

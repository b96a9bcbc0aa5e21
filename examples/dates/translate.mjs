// Written dates to ISO dates, by an encoder-decoder that was trained from scratch beside this file.
//
//   node examples/dates/translate.mjs ["the 3rd of March, 2021" ...]
import { fileURLToPath } from 'node:url';
import { Seq2SeqLM } from 'multihead';

const DATES = [
  'the 3rd of March, 2021',
  'Mar 3 2021',
  'MARCH 3RD, 2021',
  'Wednesday, 3 March 1999',
  'tue 29 feb. 2000',
  '3.12.2021', // day first with dots
  '12/3/2021', // month first with slashes
  '2021/12/3', // unless the year is first
  '20211203',
  '03-Dec-2021',
  "20 July '69", // 1969 to 2068, as POSIX has it
  '1957, October 4th',
];

const dates = process.argv.length > 2 ? process.argv.slice(2) : DATES;
const model = await Seq2SeqLM.load(fileURLToPath(new URL('.', import.meta.url)));
const start = performance.now();
const answers = await model.generate(dates);
const took = performance.now() - start;

const longest = Math.max(...dates.map(({ length }) => length));
answers.forEach(({ text }, i) => {
  console.log(`${dates[i].padEnd(longest)}  ->  ${text}`);
});
console.log(`\n${dates.length} dates in ${took.toFixed(0)} ms`);
await model.dispose();

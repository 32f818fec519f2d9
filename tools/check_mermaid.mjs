// Runs Mermaid itself over diagrams that ipctrace wrote: each must parse, render, and run nothing.
//
//   npm install --prefix /tmp/mermaid mermaid playwright-core     (and Debian's chromium)
//   NODE_PATH=/tmp/mermaid/node_modules node tools/check_mermaid.mjs DIAGRAM...
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';

const modules = process.env.NODE_PATH ?? 'node_modules';
const require = createRequire(path.resolve(modules, 'x.js'));
const {chromium} = require('playwright-core');

const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
const page = await browser.newPage();
let ran = false;
page.on('dialog', dialog => { ran = true; dialog.dismiss(); });
await page.setContent('<html><body></body></html>');
await page.addScriptTag({path: path.join(modules, 'mermaid/dist/mermaid.min.js')});
await page.evaluate(() => mermaid.initialize({startOnLoad: false, maxTextSize: 1e7, maxEdges: 5000}));
let failed = 0;
for (const [number, file] of process.argv.slice(2).entries()) {
  const result = await page.evaluate(async ([text, id]) => {
    try {
      const {diagramType} = await mermaid.parse(text);
      const {svg} = await mermaid.render(id, text);
      document.body.innerHTML = svg;
      return diagramType;
    } catch (error) {
      return 'FAILED ' + error;
    }
  }, [fs.readFileSync(file, 'utf8'), 'diagram' + number]);
  if (result.startsWith('FAILED') || ran) ++failed;
  console.log(`${file}: ${result}${ran ? ', AND A SCRIPT RAN' : ''}`);
  ran = false;
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);

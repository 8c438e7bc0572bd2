// Drives a real browser for the tests: one command a line of JSON in, one answer a line
// out. What the tests expect stands in the tests; here is only how it is done.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const AXE = readFileSync(fileURLToPath(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
const [folder] = process.argv.slice(2);

const context = await chromium.launchPersistentContext(folder, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  locale: 'en-GB',
  timezoneId: 'UTC',
  viewport: { width: 1280, height: 900 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(30_000);

// Everything that was asked of anybody, and everything that the browser complained about.
const asked = [];
const complaints = [];
context.on('request', (request) => asked.push(request.url()));
page.on('console', (message) => {
  if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
});
page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));

const COMMANDS = {
  open: async ({ url }) => {
    const answer = await page.goto(url, { waitUntil: 'load' });
    return { status: answer?.status() ?? null };
  },
  reload: async () => void (await page.reload({ waitUntil: 'load' })),
  content: async ({ html }) => void (await page.setContent(html)),
  click: async ({ at }) => void (await page.locator(at).first().click()),
  fill: async ({ at, text }) => void (await page.locator(at).first().fill(text)),
  choose: async ({ at, value }) => void (await page.locator(at).first().selectOption(value)),
  press: async ({ keys }) => {
    for (const key of keys) await page.keyboard.press(key);
  },
  wait: async ({ at, within }) => {
    const begin = Date.now();
    await page.locator(at).first().waitFor({ state: 'visible', timeout: within ?? 30_000 });
    return { ms: Date.now() - begin };
  },
  gone: async ({ at }) => void (await page.locator(at).first().waitFor({ state: 'hidden' })),
  count: async ({ at }) => page.locator(at).count(),
  text: async ({ at }) => (await page.locator(at).first().innerText()).trim(),
  attribute: async ({ at, name }) => page.locator(at).first().getAttribute(name),
  disabled: async ({ at }) => page.locator(at).first().isDisabled(),
  evaluate: async ({ script }) => page.evaluate(script),
  size: async ({ width, height }) => void (await page.setViewportSize({ width, height })),
  media: async (media) => void (await page.emulateMedia(media)),
  shot: async ({ path, whole }) => void (await page.screenshot({ path, fullPage: whole ?? false })),
  // What is wrong for people who use a keyboard, a screen reader or their eyes otherwise.
  axe: async () => {
    await page.evaluate(AXE);
    const found = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
    return found.violations
      .filter((one) => one.impact === 'serious' || one.impact === 'critical')
      .map((one) => ({
        id: one.id,
        impact: one.impact,
        help: one.help,
        nodes: one.nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary}`),
      }));
  },
  asked: async () => asked.splice(0),
  complaints: async () => complaints.splice(0),
};

function tell(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

tell({ ok: 'ready' });
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  try {
    tell({ ok: (await COMMANDS[command](rest)) ?? null });
  } catch (error) {
    const shown = await page.evaluate('document.body.innerText').catch(() => '');
    tell({ error: `${command} ${JSON.stringify(rest)}: ${error.message}\n--- the page:\n${shown}` });
  }
}
await context.close();

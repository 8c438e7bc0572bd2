import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const OUT = 'dist';

/** Writes each file once more, packed: the server has no work with that at run time. */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    buildStart() {
      rmSync(join(OUT, 'assets'), { recursive: true, force: true });
    },
    closeBundle() {
      const assets = readdirSync(join(OUT, 'assets')).map((name) => join('assets', name));
      for (const name of ['index.html', ...assets]) {
        // Fonts are packed already.
        if (!/\.(html|js|css|svg|txt)$/.test(name)) continue;
        const path = join(OUT, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [packed()],
  build: {
    outDir: OUT,
    // dist/README.md stays: it says what belongs there.
    emptyOutDir: false,
    // The page's policy allows no inline script, style or data address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
  },
  test: { include: ['tests/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);

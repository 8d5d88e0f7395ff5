/* build.mjs -- bundles the operator's pages into a flat folder of static files.
 *
 *   npm run build -- --out DIR     or OUT=DIR npm run build; default dist
 *
 * A relative DIR is meant from where npm was called (INIT_CWD), also with --prefix. What DIR held of an
 * earlier build is removed. Names other than index.html carry their content's hash, so they can be cached
 * for ever; index.html must not be.
 */
import {build} from 'esbuild';
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {gzipSync} from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));

function outDir() {
	const {values} = parseArgs({options: {out: {type: 'string'}}});
	const given = values.out || process.env.OUT;
	return given ? resolve(process.env.INIT_CWD || process.cwd(), given) : join(here, 'dist');
}

/* Only what this build makes: DIR may be somebody's by mistake. */
function clean(out) {
	mkdirSync(out, {recursive: true});
	for (const name of readdirSync(out)) {
		if (/^(app-[0-9A-Z]+\.(js|css)|index\.html)$/.test(name)) rmSync(join(out, name));
	}
}

async function bundle(out) {
	const {metafile} = await build({
		absWorkingDir: here,
		entryPoints: {app: 'src/main.jsx'},
		outdir: out,
		entryNames: '[name]-[hash]',
		bundle: true,
		minify: true,
		format: 'esm',
		target: ['es2020'],
		jsx: 'automatic',
		jsxImportSource: 'preact',
		charset: 'utf8',
		legalComments: 'eof',
		metafile: true,
		logLevel: 'warning',
	});
	const names = Object.keys(metafile.outputs).map((path) => basename(path));
	return {js: names.find((n) => n.endsWith('.js')), css: names.find((n) => n.endsWith('.css'))};
}

const out = outDir();
clean(out);
const {js, css} = await bundle(out);
const page = readFileSync(join(here, 'src/index.html'), 'utf8').replace('app.js', js).replace('app.css', css);
writeFileSync(join(out, 'index.html'), page);

let total = 0;
for (const name of ['index.html', js, css]) {
	const bytes = readFileSync(join(out, name));
	const gzip = gzipSync(bytes, {level: 9}).length;
	total += gzip;
	console.log(`${name}: ${bytes.length} bytes, ${gzip} gzipped`);
}
console.log(`${out}: ${total} bytes gzipped in all`);

/* build.mjs -- minifies the tracker, and fails when it has grown too large or is no ES5.
 *
 *   npm run build -- --out FILE     or OUT=FILE npm run build
 *   npm run build                   what is published: dist/analytics-tracking.min.js and the module dist/analytics-tracking.mjs
 *
 * A relative FILE is meant from where npm was called (INIT_CWD), so that a Makefile at the root of the
 * tree can say `npm --prefix js run build -- --out build/release/gen/analytics-tracking.min.js`.
 */
import {parse} from 'acorn';
import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {basename, dirname, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {minify} from 'terser';

const LIMIT = 1024; /* bytes after `gzip -9 FILE`: the promise of the README, and less than one network packet */
const here = dirname(fileURLToPath(import.meta.url));

function outPath() {
	const {values} = parseArgs({options: {out: {type: 'string'}}});
	const given = values.out || process.env.OUT;
	return given ? resolve(process.env.INIT_CWD || process.cwd(), given) : '';
}

/* What `gzip -9 FILE` makes of it: it stores the name, and a NUL. Node's own zlib is another, and a few bytes better. */
function gzipped(path, text) {
	return execFileSync('gzip', ['-9', '-c'], {input: text}).length + basename(path).length + 1;
}

/* collapse_vars makes the text shorter and its compressed form longer; hoist_vars the other way round. */
async function minified(source) {
	const {code} = await minify(source, {
		ecma: 5,
		compress: {ecma: 5, passes: 3, collapse_vars: false, hoist_vars: true, booleans_as_integers: true},
		mangle: true,
	});
	return code;
}

const source = readFileSync(resolve(here, 'analytics-tracking.js'), 'utf8');
parse(source, {ecmaVersion: 5});
const code = await minified(source);
parse(code, {ecmaVersion: 5});

const out = outPath();
const script = out || resolve(here, 'dist/analytics-tracking.min.js');
const size = gzipped(script, code);
if (size > LIMIT) {
	console.error(`${script}: ${size} bytes gzipped, ${LIMIT} are allowed`);
	process.exit(1);
}

function write(path, text) {
	mkdirSync(dirname(path), {recursive: true});
	writeFileSync(path, text);
	const integrity = createHash('sha384').update(text).digest('base64');
	console.log(`${path}: ${text.length} bytes, ${gzipped(path, text)} gzipped, integrity sha384-${integrity}`);
}

write(script, code);
if (!out) {
	/* The same as a module, which a server that renders pages may import: without a document it does nothing. */
	write(resolve(here, 'dist/analytics-tracking.mjs'), `if(typeof document!=="undefined"){${code}}export{};`);
}

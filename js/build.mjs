/* build.mjs -- minifies the tracker, and fails when it has grown too large or is no ES5.
 *
 *   npm run build -- --out FILE     or OUT=FILE npm run build
 *   npm run build                   what is published: dist/analytics-tracking.min.js and the module dist/analytics-tracking.mjs
 *
 * A relative FILE is meant from where npm was called (INIT_CWD), so that a Makefile at the root of the
 * tree can say `npm --prefix js run build -- --out build/release/gen/analytics-tracking.min.js`.
 */
import {parse} from 'acorn';
import {createHash} from 'node:crypto';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {gzipSync} from 'node:zlib';
import {minify} from 'terser';

const LIMIT = 1024; /* bytes after gzip -9: the promise of the README, and less than one network packet */
const here = dirname(fileURLToPath(import.meta.url));

function outPath() {
	const {values} = parseArgs({options: {out: {type: 'string'}}});
	const given = values.out || process.env.OUT;
	return given ? resolve(process.env.INIT_CWD || process.cwd(), given) : '';
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

const size = gzipSync(code, {level: 9}).length;
if (size > LIMIT) {
	console.error(`analytics-tracking.min.js: ${size} bytes gzipped, ${LIMIT} are allowed`);
	process.exit(1);
}
const out = outPath();

function write(path, text) {
	mkdirSync(dirname(path), {recursive: true});
	writeFileSync(path, text);
	const integrity = createHash('sha384').update(text).digest('base64');
	const gzipped = gzipSync(text, {level: 9}).length;
	console.log(`${path}: ${text.length} bytes, ${gzipped} gzipped (limit ${LIMIT}), integrity sha384-${integrity}`);
}

if (out) {
	write(out, code);
} else {
	write(resolve(here, 'dist/analytics-tracking.min.js'), code);
	/* The same as a module, which a server that renders pages may import: without a document it does nothing. */
	write(resolve(here, 'dist/analytics-tracking.mjs'), `if(typeof document!=="undefined"){${code}}export{};`);
}

/* What npm would publish, installed from its tarball.
 *
 * Proves: it holds the script, the module and the types and nothing else, the module can be imported where there is
 * no document, everything that package.json points at is there, and the sizes and the ES5 promise hold.
 */
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {parse} from 'acorn';

const here = fileURLToPath(new URL('.', import.meta.url));
let dir, at, files;

function npm(...words) {
	return execFileSync('npm', ['--loglevel=error', '--no-fund', '--no-audit', '--no-update-notifier', ...words], {cwd: dir, encoding: 'utf8'});
}

/* As anybody would measure it, so with the file's name in it. */
function gzipped(name) {
	return execFileSync('gzip', ['-9', '-c', join(at, 'dist', name)]).length;
}

before(() => {
	dir = mkdtempSync(join(tmpdir(), 'footfall-pack-'));
	writeFileSync(join(dir, 'package.json'), '{"private": true}');
	/* the build that packing runs writes to standard output as well */
	const out = npm('pack', here, '--json');
	const [packed] = JSON.parse(out.slice(out.search(/^\[/m)));
	files = packed.files.map((f) => f.path).sort();
	npm('install', '--offline', '--ignore-scripts', join(dir, packed.filename));
	at = join(dir, 'node_modules', packed.name);
});

after(() => rmSync(dir, {recursive: true, force: true}));

test('the tarball holds what is used and nothing else', () => {
	assert.deepEqual(files, [
		'README.md', 'analytics-tracking.d.ts', 'analytics-tracking.js', 'dist/analytics-tracking.min.js',
		'dist/analytics-tracking.mjs', 'package.json',
	]);
});

test('everything that package.json points at is there', () => {
	const {main, module, types, unpkg, exports, dependencies} = JSON.parse(readFileSync(join(at, 'package.json'), 'utf8'));
	for (const path of [main, module, types, unpkg, ...Object.values(exports['.'])]) assert.ok(existsSync(join(at, path)), path);
	assert.equal(dependencies, undefined);
});

test('importing it by name gives the module, which does nothing without a document', () => {
	const script = join(dir, 'use.mjs');
	writeFileSync(script, `import * as it from 'footfall-tracker'; console.log(import.meta.resolve('footfall-tracker'), Object.keys(it).length);`);
	const said = execFileSync(process.execPath, [script], {cwd: dir, encoding: 'utf8'}).trim();
	assert.equal(said, `${pathToFileURL(join(at, 'dist/analytics-tracking.mjs'))} 0`);
});

test('requiring it by name gives the script', () => {
	assert.equal(createRequire(join(dir, 'x.js')).resolve('footfall-tracker'), join(at, 'dist/analytics-tracking.min.js'));
});

test('the script is ES5, the module a module, both small', () => {
	const script = readFileSync(join(at, 'dist/analytics-tracking.min.js'), 'utf8');
	const module = readFileSync(join(at, 'dist/analytics-tracking.mjs'), 'utf8');
	parse(script, {ecmaVersion: 5});
	parse(module, {ecmaVersion: 2015, sourceType: 'module'});
	assert.ok(gzipped('analytics-tracking.min.js') <= 1024);
	assert.ok(gzipped('analytics-tracking.mjs') <= 1100);
	assert.ok(module.includes(script.replace(/;$/, '')), 'one code in two forms');
});

// generate.mjs -- writes bot_words.c (see agent/node/bot_words.h) to the file named by its argument.
//
// The packages' patterns are regular expressions; an automaton over literals takes only what can be
// written as few literals with anchors: classes, groups and optional characters are multiplied out.
// The rest is dropped, and the table's first lines say how much. people.txt takes away what people use.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const here = new URL(".", import.meta.url);
const VARIANTS_MAX = 16; // literals that one pattern may become
const LETTERS_MIN = 4; // shorter ones stand in too many other words
const WORD_BELOW = 8; // those below this length must stand alone, as words

class TooMuch extends Error {}

// -- a pattern as literals: every place is a set of strings, ^ $ and \b are control characters --
const START = "\x01", END = "\x02", EDGE = "\x03";
const digits = [..."0123456789"];

function cross(heads, tails) {
	const all = new Set();
	for (const head of heads) for (const tail of tails) all.add(head + tail);
	if (all.size > VARIANTS_MAX) throw new TooMuch();
	return [...all];
}

class Pattern {
	constructor(source) {
		this.rest = source;
	}

	take() {
		const c = this.rest[0];
		this.rest = this.rest.slice(1);
		return c;
	}

	alternatives() {
		const all = new Set(this.sequence());
		while (this.rest[0] === "|") {
			this.take();
			for (const one of this.sequence()) all.add(one);
		}
		return [...all];
	}

	sequence() {
		let all = [""];
		while (this.rest && this.rest[0] !== "|" && this.rest[0] !== ")") all = cross(all, this.optional());
		return all;
	}

	optional() {
		const atom = this.atom();
		if (this.rest[0] === "?") {
			this.take();
			return ["", ...atom];
		}
		if (/^[*+{]/.test(this.rest)) throw new TooMuch();
		return atom;
	}

	atom() {
		const c = this.take();
		if (c === "^") return [START];
		if (c === "$") return [END];
		if (c === ".") throw new TooMuch();
		if (c === "\\") return this.escaped();
		if (c === "[") return this.class();
		if (c === "(") return this.group();
		return [c.toLowerCase()];
	}

	escaped() {
		const c = this.take();
		if (c === "b") return [EDGE];
		if (c === "d") return digits;
		if (c === "s") return [" "];
		if (/[A-Za-z0-9]/.test(c)) throw new TooMuch();
		return [c];
	}

	class() {
		const end = this.rest.indexOf("]");
		const body = this.rest.slice(0, end);
		if (end < 1 || body[0] === "^" || /[\\-]/.test(body)) throw new TooMuch();
		this.rest = this.rest.slice(end + 1);
		return [...new Set(body.toLowerCase())];
	}

	group() {
		if (this.rest.startsWith("?:")) this.rest = this.rest.slice(2);
		else if (this.rest[0] === "?") throw new TooMuch(); // looks around
		const all = this.alternatives();
		if (this.take() !== ")") throw new TooMuch();
		return all;
	}
}

function anchored(text) {
	const where = new Set();
	let literal = text;
	if (literal[0] === START) where.add("BOT_START");
	if (literal[0] === EDGE) where.add("BOT_HEAD");
	if (literal.at(-1) === END) where.add("BOT_END");
	if (literal.at(-1) === EDGE) where.add("BOT_TAIL");
	literal = literal.replace(/^[\x01\x03]/, "").replace(/[\x02\x03]$/, "");
	if (!/^[\x20-\x7e]+$/.test(literal)) throw new TooMuch();
	if (literal.replace(/[^a-z0-9]/g, "").length < LETTERS_MIN && !where.has("BOT_START")) throw new TooMuch();
	if (literal.length < WORD_BELOW) {
		if (/^[a-z]/.test(literal)) where.add("BOT_HEAD");
		if (/[a-z]$/.test(literal) && !where.has("BOT_START")) where.add("BOT_TAIL");
	}
	return { literal, where: [...where].sort().join(" | ") || "BOT_ANYWHERE" };
}

function literalsOf(source) {
	const pattern = new Pattern(source);
	const all = pattern.alternatives();
	if (pattern.rest) throw new TooMuch();
	return all.map(anchored);
}

// -- the packages --
const reasons = {
	"ai-crawler": "ai", "http-library": "library", "browser-automation": "headless", monitoring: "monitor",
	"social-preview": "preview", "feed-reader": "feed", scanner: "scanner", seo: "scanner",
};

function reasonOf(tags = []) {
	for (const tag of Object.keys(reasons)) if (tags.includes(tag)) return reasons[tag];
	return "crawler";
}

const nameOf = (literal) => literal.replace(/[^\w.!)]+$/, "").trim();

// The name as the pattern writes it: its first variant with the letters' own case.
function spelled(source) {
	const plain = source.replace(/\\b|\(\^\| \)|\(\[\^-\]\|\$\)|^\^|\$$/g, "").replace(/\[(.)[^\]]*\]/g, "$1")
		.replace(/\\(.)/g, "$1").replace(/[()].*$/, (m) => (m[0] === "(" ? "" : m)).replace(/\|.*$/, "");
	return nameOf(plain.replace(/^https?:\/\//, "")).replace(/["\\]/g, "");
}

function sources() {
	const crawlers = require("crawler-user-agents").map((c) => ({
		source: "BOT_SOURCE_CRAWLERS", pattern: c.pattern, why: reasonOf(c.tags), name: spelled(c.pattern),
	}));
	const isbot = require("isbot").list.map((pattern) => ({
		source: "BOT_SOURCE_ISBOT", pattern, why: "listed", name: null,
	}));
	return [...crawlers, ...isbot];
}

function people() {
	return readFileSync(new URL("people.txt", here), "utf8").split("\n").filter((l) => l && l[0] !== "#");
}

function collect() {
	const words = new Map();
	const dropped = {}, spared = {}, total = {};
	const theirs = people();
	for (const { source, pattern, why, name } of sources()) {
		total[source] = (total[source] ?? 0) + 1;
		let literals;
		try {
			literals = literalsOf(pattern);
		} catch (e) {
			if (!(e instanceof TooMuch)) throw e;
			dropped[source] = (dropped[source] ?? 0) + 1;
			continue;
		}
		if (literals.some((l) => theirs.includes(l.literal))) {
			spared[source] = (spared[source] ?? 0) + 1;
			continue;
		}
		for (const { literal, where } of literals) {
			const key = `${source} ${literal} ${where}`;
			if (!words.has(key)) words.set(key, { source, literal, where, why, name: name || null });
		}
	}
	return { words: [...words.values()], dropped, spared, total };
}

// -- C --
const quoted = (s) => (s === null ? "NULL" : `"${s.replace(/[\\"]/g, "\\$&").replace(/\?\?/g, "?\\?")}"`);

function print({ words, dropped, spared, total }) {
	const names = [...new Set(words.map((w) => w.name).filter(Boolean))].sort();
	const counted = Object.keys(total).map((s) =>
		`${s}: ${total[s]} patterns, ${dropped[s] ?? 0} dropped, ${spared[s] ?? 0} that people use`);
	const index = new Map(names.map((n, i) => [n, i + 1]));
	const rows = words.map((w) => `\t{${quoted(w.literal)}, ${quoted(w.why)}, ${index.get(w.name) ?? 0}, ${w.where}, ${w.source}},`);
	return [
		"/* made by agent/node/bot_sources/generate.mjs", ...counted.map((l) => ` * ${l}`), " */",
		'#include "node/bot_words.h"', "",
		"const char *const bot_word_names[] = {", '\t"other",', ...names.map((n) => `\t${quoted(n)},`), "};",
		`const size_t bot_word_names_n = ${names.length + 1};`, "",
		"const struct bot_word bot_words[] = {", ...rows, "};",
		`const size_t bot_words_n = ${words.length};`, "",
	].join("\n");
}

const [out] = process.argv.slice(2);
if (!out) {
	process.stderr.write("usage: generate.mjs FILE\n");
	process.exit(2);
}
writeFileSync(out, print(collect()));

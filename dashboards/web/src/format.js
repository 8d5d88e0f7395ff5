/* format.js -- numbers, days and times as the pages write them. */

const whole = new Intl.NumberFormat('en');
const compact = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 1});
const regions = new Intl.DisplayNames(['en'], {type: 'region', fallback: 'code'});

export function number(n) {
	return n === null || n === undefined ? '–' : whole.format(n);
}

export function shortNumber(n) {
	return Math.abs(n) < 10000 ? whole.format(n) : compact.format(n);
}

export function count(n, one, many) {
	return `${number(n)} ${n === 1 ? one : many}`;
}

export function percent(n, whole) {
	if (!(whole > 0)) return '';
	const p = (100 * n) / whole;
	return p > 0 && p < 1 ? '<1 %' : `${Math.round(p)} %`;
}

function utc(day) {
	return new Date(day.slice(0, 10) + 'T00:00:00Z');
}

function dayFormat(options) {
	const format = new Intl.DateTimeFormat('en-GB', {timeZone: 'UTC', ...options});
	return (day) => format.format(utc(day));
}

export const dayShort = dayFormat({day: 'numeric', month: 'short'});
export const dayLong = dayFormat({weekday: 'short', day: 'numeric', month: 'short', year: 'numeric'});
export const monthShort = dayFormat({month: 'short', year: '2-digit'});
const monthLong = dayFormat({month: 'long', year: 'numeric'});
const dayYear = dayFormat({day: 'numeric', month: 'short', year: 'numeric'});

export function range(from, to) {
	if (from === to) return dayLong(from);
	return `${from.slice(0, 4) === to.slice(0, 4) ? dayShort(from) : dayYear(from)} – ${dayYear(to)}`;
}

/* The hour as it stands in the text: it has the site's offset in it, which is the one that counts. */
export function pointShort(t, grain) {
	if (grain === 'hour') return t.slice(11, 16);
	return grain === 'month' ? monthShort(t.length === 7 ? t + '-01' : t) : dayShort(t);
}

export function pointLong(t, grain) {
	if (grain === 'hour') return `${dayLong(t)}, ${t.slice(11, 16)}`;
	return grain === 'month' ? monthLong(t.length === 7 ? t + '-01' : t) : dayLong(t);
}

/* The central's zone names are those of its system, which a browser may not know all. */
function zoned(zone, options) {
	try {
		return new Intl.DateTimeFormat('en-GB', {timeZone: zone, hourCycle: 'h23', ...options});
	} catch {
		return new Intl.DateTimeFormat('en-GB', {timeZone: 'UTC', hourCycle: 'h23', ...options});
	}
}

/* A moment in the site's zone: the time alone where it is of today, else with its day. */
export function moment(iso, zone, now = new Date()) {
	const at = new Date(iso);
	if (!iso || Number.isNaN(at.getTime())) return '–';
	const day = zoned(zone, {year: 'numeric', month: '2-digit', day: '2-digit'});
	const time = {hour: '2-digit', minute: '2-digit'};
	if (day.format(at) === day.format(now)) return zoned(zone, time).format(at);
	return zoned(zone, {day: 'numeric', month: 'short', ...time}).format(at);
}

export function clock(date, zone) {
	return zoned(zone, {hour: '2-digit', minute: '2-digit', second: '2-digit'}).format(date);
}

export function skew(ms) {
	if (ms === null || ms === undefined) return '–';
	const sign = ms > 0 ? '+' : ms < 0 ? '−' : '';
	const size = Math.abs(ms);
	return size < 1000 ? `${sign}${size} ms` : `${sign}${(size / 1000).toFixed(1)} s`;
}

const UNNAMED = {referrer: 'Direct', country: 'Unknown', browser: 'Unknown', system: 'Unknown', device: 'Unknown'};
const SOURCES = {beacon: 'Browser', datagram: 'Server'};

export function keyLabel(dim, key) {
	if (!key) return UNNAMED[dim] || 'Unknown';
	if (dim === 'source') return SOURCES[key] || key;
	if (dim === 'country' && /^[A-Z]{2}$/.test(key)) return regions.of(key);
	if (key === 'tv') return 'TV';
	if (dim === 'device') return key[0].toUpperCase() + key.slice(1);
	return key;
}

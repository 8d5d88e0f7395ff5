/* controls.jsx -- which days, which type, which site. */
import {useEffect, useState} from 'preact/hooks';
import {PRESETS} from './days.js';

function Custom({from, to, today, onRange}) {
	const [draft, setDraft] = useState({from, to});
	useEffect(() => setDraft({from, to}), [from, to]);

	/* Both ends are kept in order: moving one beyond the other takes the other along. */
	function change(end, value) {
		const next = {...draft, [end]: value};
		if (next.from && next.to && next.from > next.to) next[end === 'from' ? 'to' : 'from'] = value;
		setDraft(next);
		if (next.from && next.to) onRange(next);
	}

	return (
		<div class="dates">
			<label>
				<span>From</span>
				<input type="date" name="from" value={draft.from} max={today} onChange={(e) => change('from', e.currentTarget.value)} />
			</label>
			<label>
				<span>To</span>
				<input type="date" name="to" value={draft.to} max={today} onChange={(e) => change('to', e.currentTarget.value)} />
			</label>
		</div>
	);
}

export function Choice({label, name, all, value, options, onChoice}) {
	return (
		<label class="choice">
			<span>{label}</span>
			<select name={name} value={value} onChange={(e) => onChoice(e.currentTarget.value)}>
				<option value="">{all}</option>
				{options.map((o) => <option key={o} value={o}>{o}</option>)}
			</select>
		</label>
	);
}

/* What is chosen stays choosable even when the central no longer lists it: else the page could not be left. */
export function withChosen(options, value) {
	return !value || options.includes(value) ? options : [...options, value];
}

export function Controls({place, go, days, me, filters, children}) {
	const sites = withChosen(me.sites || [], place.site);
	return (
		<div class="controls" role="group" aria-label="Range and filters">
			<div class="presets" role="group" aria-label="Range">
				{PRESETS.map((p) => (
					<button
						type="button" key={p.key} aria-pressed={place.range === p.key}
						onClick={() => go({range: p.key, from: undefined, to: undefined})}
					>
						{p.label}
					</button>
				))}
			</div>
			<Custom from={days.from} to={days.to} today={me.today} onRange={({from, to}) => go({range: 'custom', from, to})} />
			{filters && (
				<Choice
					label="Type" name="type" all="All types" value={place.type}
					options={withChosen(me.types || [], place.type)} onChoice={(type) => go({type})}
				/>
			)}
			{filters && sites.length > 1 && (
				<Choice label="Site" name="site" all="All sites" value={place.site} options={sites} onChoice={(site) => go({site})} />
			)}
			{children}
		</div>
	);
}

/* main.jsx -- signing in, then the pages. */
import 'uplot/dist/uPlot.min.css';
import './app.css';
import {render} from 'preact';
import {useEffect, useState} from 'preact/hooks';
import {get, post, Refused, Unauthorized} from './api.js';
import {Bots} from './bots.jsx';
import {Login} from './login.jsx';
import {Nodes} from './nodes.jsx';
import {Overview} from './overview.jsx';
import {Brand, Notice, Spinner} from './parts.jsx';
import {placeUrl, usePlace} from './place.js';

const PAGES = {
	overview: {title: 'Overview', Page: Overview},
	nodes: {title: 'Nodes', Page: Nodes},
	bots: {title: 'Bots', Page: Bots},
};

/* The token of a ready link (/#token=...), taken out of the address bar before anything else can see it. */
function takeToken() {
	const token = new URLSearchParams(location.hash.slice(1)).get('token');
	if (token) history.replaceState(null, '', location.pathname + location.search);
	return token;
}

/* {at: 'starting' | 'in' | 'out' | 'unreachable', message} and how to change it. */
function useSession() {
	const [session, setSession] = useState({at: 'starting'});

	async function enter(token) {
		try {
			if (token) await post('login', {token});
			await get('me');
			setSession({at: 'in'});
		} catch (e) {
			if (e instanceof Refused) return setSession({at: 'out', message: `Refused: ${e.message}.`});
			if (!(e instanceof Unauthorized)) return setSession({at: 'unreachable'});
			setSession({at: 'out', message: token ? 'This link is not valid, or no longer. Sign in instead.' : ''});
		}
	}

	useEffect(() => {
		enter(takeToken());
		const onHash = () => {
			const token = takeToken();
			if (token) enter(token);
		};
		addEventListener('hashchange', onHash);
		return () => removeEventListener('hashchange', onHash);
	}, []);

	/* Starts again by itself when the central is back. */
	useEffect(() => {
		if (session.at !== 'unreachable') return undefined;
		const timer = setTimeout(() => enter(null), 3000);
		return () => clearTimeout(timer);
	}, [session]);

	return [session, setSession];
}

function Header({place, go, onSignOut}) {
	const link = (page, label) => (
		<a
			key={page}
			href={placeUrl({...place, page})}
			aria-current={place.page === page ? 'page' : undefined}
			onClick={(event) => {
				if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
				event.preventDefault();
				go({page});
			}}
		>
			{label}
		</a>
	);
	return (
		<header class="top">
			<div class="frame">
				<Brand />
				<nav aria-label="Pages">
					{Object.entries(PAGES).map(([page, {title}]) => link(page, title))}
				</nav>
				<button type="button" class="quiet" onClick={onSignOut}>Sign out</button>
			</div>
		</header>
	);
}

function App() {
	const [session, setSession] = useSession();
	const [place, go] = usePlace();

	useEffect(() => {
		document.title = session.at !== 'in' ? 'Footfall' : `${PAGES[place.page].title} · Footfall`;
	}, [session.at, place.page]);

	const out = () => setSession({at: 'out', message: 'Your session has ended. Please sign in again.'});
	const signOut = () => {
		const done = () => setSession({at: 'out', message: ''});
		post('logout').then(done, done);
	};

	if (session.at === 'starting') return <main class="alone"><Spinner label="Loading" /></main>;
	if (session.at === 'unreachable') {
		return (
			<main class="alone">
				<Brand />
				<Notice kind="bad">The central does not answer. This page tries again every few seconds.</Notice>
			</main>
		);
	}
	const {Page} = PAGES[place.page];
	if (session.at === 'out') return <Login message={session.message} onDone={() => setSession({at: 'in'})} />;
	return (
		<>
			<a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById('main').focus(); }}>Skip to the numbers</a>
			<Header place={place} go={go} onSignOut={signOut} />
			<Page place={place} go={go} onUnauthorized={out} />
		</>
	);
}

render(<App />, document.getElementById('app'));

/* login.jsx -- the page for those who are not signed in. */
import {useEffect, useRef, useState} from 'preact/hooks';
import {post, Refused, Unauthorized} from './api.js';
import {Brand, Notice} from './parts.jsx';

export function Login({message, onDone}) {
	const [error, setError] = useState(message);
	const [busy, setBusy] = useState(false);
	const user = useRef(null);
	useEffect(() => user.current.focus(), []);

	async function submit(event) {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		setBusy(true);
		setError('');
		try {
			await post('login', {user: form.get('user'), password: form.get('password')});
			onDone();
		} catch (e) {
			if (e instanceof Unauthorized) setError('The name or the password is not right.');
			else setError(e instanceof Refused ? `Refused: ${e.message}.` : 'The central does not answer. Please try again.');
			setBusy(false);
		}
	}

	return (
		<main class="alone" id="main">
			<Brand />
			<form class="card login" onSubmit={submit} aria-labelledby="login-title">
				<h1 id="login-title">Sign in</h1>
				<label for="user">Name</label>
				<input id="user" name="user" ref={user} autocomplete="username" autocapitalize="none" spellcheck={false} required />
				<label for="password">Password</label>
				<input id="password" name="password" type="password" autocomplete="current-password" required />
				<div role="alert">{error && <Notice kind="bad">{error}</Notice>}</div>
				<button type="submit" class="primary" disabled={busy}>{busy ? 'Signing in…' : 'Sign in'}</button>
			</form>
			<p class="hint">A ready link that contains a token signs you in without a password.</p>
		</main>
	);
}

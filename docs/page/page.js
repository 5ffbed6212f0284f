// What the page shows, and what its buttons do. All that is shown is text: nothing that comes from the database becomes HTML.
'use strict';

const main = document.getElementById('main');
const api = new URL(document.querySelector('meta[name=workflow-api]').content, location.href);
let shown = null; // what the screen was made of

// ---- asking ----

async function call(name, args = {}) {
	const headers = { 'Content-Type': 'application/json', 'Accept': 'application/json', 'Content-Profile': 'workflow_page' };
	const token = sessionStorage.getItem('workflow-token');
	if (token) headers.Authorization = `Bearer ${token}`;
	const response = await fetch(new URL(name, api), { method: 'POST', headers, body: JSON.stringify(args), cache: 'no-store' });
	const text = await response.text();
	let answer = null;
	try { answer = text === '' ? null : JSON.parse(text); } catch { /* of a proxy, not of the database */ }
	if (response.ok) return answer;
	const error = new Error(answer?.message ?? `${response.status} ${response.statusText}`);
	error.more = [answer?.details, answer?.hint].filter(Boolean);
	throw error;
}

// ---- making ----

// el('a', { href: '#/' }, 'text', …): attributes that are undefined are left out, a function is a listener
function el(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (typeof value === 'function') element.addEventListener(key, value);
		else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? '' : value);
	}
	element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
	return element;
}

const part = (...ids) => '#/' + ids.map(encodeURIComponent).join('/');
const instanceLink = (n) => el('a', { href: part('instance', n) }, String(n));
const processLink = (name) => el('a', { href: part('process', name) }, name);
const badge = (state, text = state) => el('span', { class: `state ${state}` }, text);

function age(seconds) {
	const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
	const first = units.findIndex(([, size]) => Math.abs(seconds) >= size);
	if (first < 0) return '0 s';
	const [[unit, size], next] = [units[first], units[first + 1]];
	const rest = next ? Math.floor((Math.abs(seconds) % size) / next[1]) : 0;
	return `${Math.floor(Math.abs(seconds) / size)} ${unit}${rest ? ` ${rest} ${next[0]}` : ''}`;
}

function tellAge(element) {
	const seconds = (Date.now() - new Date(element.dateTime)) / 1000;
	element.textContent = seconds < 0 ? `in ${age(seconds)}` : age(seconds);
}

function ago(time) {
	if (!time) return '';
	const element = el('time', { datetime: time, title: new Date(time).toLocaleString() });
	tellAge(element);
	return element;
}

// A table whose cells say on narrow screens what they are.
function table(caption, heads, rows) {
	if (rows.length === 0) return null;
	return el('table', {}, el('caption', {}, caption),
		el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col' }, head)))),
		el('tbody', {}, rows.map((cells) => el('tr', {}, cells.map((cell, i) => el('td', { 'data-head': heads[i] }, cell ?? ''))))));
}

function diagram(text) {
	try {
		return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Diagram' }, Diagram.draw(text));
	} catch (error) {
		console.error(error);
		return el('pre', {}, text);
	}
}

const legend = () => el('p', { class: 'legend' }, ['passed', 'waiting', 'calling', 'retrying', 'incident', 'ended'].map((state) => [badge(state), ' ']).flat());

// ---- doing ----

function ask(title, text, fields, ok) {
	const dialog = document.getElementById('dialog');
	document.getElementById('said')?.remove();
	return new Promise((resolve) => {
		const form = el('form', { method: 'dialog' }, el('h2', { id: 'dialog-title' }, title), el('p', {}, text), fields,
			el('div', { class: 'buttons' }, el('button', { value: 'ok' }, ok), el('button', { value: '', formnovalidate: true }, 'Back')));
		dialog.setAttribute('aria-labelledby', 'dialog-title');
		dialog.replaceChildren(form);
		dialog.addEventListener('close', () => resolve(dialog.returnValue === 'ok' ? form : null), { once: true });
		dialog.returnValue = '';
		dialog.showModal();
	});
}

function say(text, error) {
	document.getElementById('said')?.remove();
	main.prepend(el('p', { id: 'said', role: error ? 'alert' : 'status', class: error ? 'error' : 'done' }, text));
}

async function act(name, args, done) {
	try {
		const answer = await call(name, args);
		await show(true);
		say(answer ? done : 'Nothing has changed: somebody else was first.');
	} catch (error) {
		say([error.message, ...(error.more ?? [])].join(' '), true);
	}
}

async function retry(serial) {
	const again = el('label', {}, el('input', { type: 'checkbox', name: 'new_key' }), ' as a new request: its service has done nothing');
	const form = await ask(`Retry ${serial}?`, 'Its action is done again, under the same idempotency key unless you say otherwise.', again, 'Retry');
	if (form) await act('retry', { serial_number: serial, new_key: form.elements.new_key.checked }, `${serial} is tried again.`);
}

async function respond(serial, name, title, text, done) {
	const data = el('label', {}, 'Its response, as JSON, if later steps need one', el('textarea', { name: 'data', rows: '4' }));
	const form = await ask(`${title} ${serial}?`, text, data, title);
	if (!form) return;
	try {
		const value = form.elements.data.value.trim();
		await act(name, value === '' ? { serial_number: serial } : { serial_number: serial, data: JSON.parse(value) }, done);
	} catch (error) {
		say(`That is no JSON: ${error.message}`, true);
	}
}

const skip = (serial) => respond(serial, 'skip', 'Skip', 'The process goes on as if the step had succeeded.', `${serial} was skipped.`);
const complete = (serial) => respond(serial, 'complete', 'Complete', 'It ends as if whoever was asked had answered so.', `${serial} is completed.`);

async function move(serial, steps) {
	const step = el('label', {}, 'Step ', el('select', { name: 'step' }, steps.map((name) => el('option', {}, name))));
	const form = await ask(`Move ${serial}?`, 'The visit ends as cancelled, without its handlers, and its token goes to another step.', step, 'Move');
	if (form) await act('move', { serial_number: serial, step: form.elements.step.value }, `${serial} was moved to ${form.elements.step.value}.`);
}

async function cancel(instance) {
	const reason = el('label', {}, 'Why, for those who read its story', el('input', { name: 'reason', maxlength: '500' }));
	const form = await ask(`Cancel instance ${instance}?`, 'All of it ends, for good; services are asked to stop where its steps say how.', reason, 'Cancel it');
	if (!form) return;
	const value = form.elements.reason.value.trim();
	await act('cancel', value === '' ? { instance } : { instance, reason: value }, 'It is cancelled.');
}

async function hold(instance, name, text) {
	if (await ask(`${name === 'suspend' ? 'Suspend' : 'Resume'} instance ${instance}?`, text, [], name === 'suspend' ? 'Suspend' : 'Resume'))
		await act(name, { instance }, name === 'suspend' ? 'It is suspended.' : 'It goes on.');
}

// What may be done with a visit; while its instance is suspended, only what is asked of whoever waits for it.
function visitButtons(it, v) {
	const admin = it.admin && it.status !== 'suspended' && it.cancel_reason === null;
	const own = admin && v.state === 'incident' ? [button('Retry', () => retry(v.serial_number)), button('Skip', () => skip(v.serial_number))] : [];
	if (v.complete) own.push(button('Complete', () => complete(v.serial_number)));
	if (admin && v.state !== 'cancelling' && v.beside) own.push(button('Move', () => move(v.serial_number, v.beside)));
	return own.map((one) => [one, ' ']);
}

const button = (text, does) => el('button', { type: 'button', click: does }, text);

// ---- screens: each is asked for, and made of the answer ----

const kinds = { worker: 'Workers', server: 'Servers that are not called', incident: 'Incidents', 'write-back': 'Rows that do not show what they should', refused: 'Replicated rows that were refused', wait: 'Oldest waits' };

function stuckTable(kind, rows) {
	const own = rows.filter((row) => row.kind === kind);
	if (kind === 'worker' || kind === 'server')
		return table(kinds[kind], ['Which', 'What', 'Since'], own.map((row) => [row.step, row.what, ago(row.since)]));
	return table(kinds[kind], ['Since', 'Process', kind === 'write-back' || kind === 'refused' ? 'Table' : 'Step', 'Instance', 'Key', kind === 'wait' ? 'Waits for' : 'Error'],
		own.map((row) => [ago(row.since), processLink(row.process), row.step, row.instance ? instanceLink(row.instance) : '', row.business_key, row.what]));
}

const screens = {
	'': {
		ask: () => call('overview'),
		title: (it) => it.database,
		make: (it) => {
			const bad = it.stuck.filter((row) => row.kind !== 'wait').length;
			return [el('h1', {}, bad ? 'What is stuck' : 'Nothing is stuck'),
				Object.keys(kinds).map((kind) => stuckTable(kind, it.stuck)),
				table('Processes', ['Process', 'Version', 'Active', 'Failed', 'Suspended', ''], it.processes.map((p) => [processLink(p.process), String(p.version),
					String(p.counts.active ?? 0), p.counts.failed ? badge('incident', String(p.counts.failed)) : '0', String(p.counts.suspended ?? 0),
					[p.suspended ? badge('suspended') : '', ' ', p.description ?? '']])) ?? el('p', {}, 'There are no processes that you may view.')];
		},
	},
	process: {
		ask: (name, version) => call('process', version ? { process: name, version } : { process: name }),
		title: (it) => it.process,
		make: (it) => [
			el('h1', {}, it.process, ' ', it.suspended ? badge('suspended') : '', it.undefined ? badge('ended', 'undefined') : ''),
			it.description ? el('p', {}, it.description) : null,
			el('p', {}, `Version ${it.version} `, it.versions.length > 1 ? ['of ', it.versions.map((v) => [el('a', { href: part('process', it.process, v), 'aria-current': v === it.version ? 'page' : undefined }, String(v)), ' '])] : '',
				`· owned by ${it.owner} · `, Object.entries(it.counts).map(([state, n]) => `${n} ${state}`).join(', ') || 'no instance lives'),
			diagram(it.diagram), legend(),
			table('Latest instances (ended ones: among the last 20,000 of all processes)', ['Instance', 'Version', 'Key', 'Status', 'Started', 'Ended'], it.instances.map((i) => [instanceLink(i.instance), String(i.version),
				i.business_key, badge(i.status), ago(i.started_at), ago(i.ended_at)]))],
	},
	instance: {
		ask: (n) => call('instance', { instance: n }),
		title: (it) => it ? `${it.process} ${it.instance}` : 'unknown',
		make: (it) => it === null ? [el('h1', {}, 'There is no such instance that you may view')] : [
			el('h1', {}, `Instance ${it.instance} `, badge(it.status)),
			el('p', {}, 'of ', processLink(it.process), `, version ${it.version}`, it.business_key ? `, key ${it.business_key}` : '', ', started ', ago(it.started_at), ' ago',
				it.ended_at ? [', ended ', ago(it.ended_at), ' ago'] : '', it.parent ? [', called by ', instanceLink(it.parent)] : '', it.rerun_of ? [', once more ', instanceLink(it.rerun_of)] : '',
				it.called.length ? [', has called ', it.called.map((n) => [instanceLink(n), ' '])] : ''),
			it.error ? el('p', { class: 'error' }, [it.error.code, it.error.message].filter(Boolean).join(': ')) : null,
			(it.admin || it.start) && !it.ended_at ? el('p', { class: 'buttons' }, it.admin ? (it.status === 'suspended'
				? button('Resume', () => hold(it.instance, 'resume', 'What has come meanwhile is taken up, and clocks that have fallen due go off.'))
				: button('Suspend', () => hold(it.instance, 'suspend', 'No worker touches it until it is resumed; what arrives is kept.'))) : null,
				button('Cancel', () => cancel(it.instance))) : null,
			table('Where it stands', ['Visit', 'Step', 'State', 'Waits for', 'Until', 'Why', ''], it.visits.map((v) => [v.serial_number, v.step + (v.item === null ? '' : ` [${v.item}]`),
				badge(v.state), [v.waits_for ?? '', v.child ? [' ', instanceLink(v.child)] : ''], ago(v.due_at ?? v.deadline),
				[v.blocked_by, v.error?.code, v.error?.message].filter(Boolean).join(': '),
				visitButtons(it, v)])),
			el('h2', {}, 'Diagram'), diagram(it.diagram), legend(),
			el('h2', {}, 'Data'), el('pre', { tabindex: '0' }, it.data),
			el('h2', {}, 'Story'), el('pre', { tabindex: '0' }, it.timeline.join('\n'))],
	},
	find: {
		ask: (what) => call('find', { what }),
		title: () => 'found',
		make: (found) => [el('h1', {}, found.length ? 'Found' : 'Nothing has that key or number'),
			table('Instances', ['Instance', 'Process', 'Version', 'Key', 'Status', 'Started', 'Ended'], found.map((i) => [instanceLink(i.instance), processLink(i.process),
				String(i.version), i.business_key, badge(i.status), ago(i.started_at), ago(i.ended_at)]))],
	},
};

// Show the screen that the address names; one that is there already is left alone unless something has changed.
async function show(again) {
	const hash = location.hash;
	const [, name = '', ...ids] = hash.split('/').map(decodeURIComponent);
	const screen = screens[name] ?? screens[''];
	try {
		const answer = await screen.ask(...ids);
		if (hash !== location.hash) return;
		const made = hash + JSON.stringify(answer);
		if (name === 'find' && answer.length === 1) { location.replace(part('instance', answer[0].instance)); return; }
		if (made !== shown) main.replaceChildren(...screen.make(answer).flat(Infinity).filter((child) => child !== null));
		document.querySelectorAll('main time').forEach(tellAge);
		shown = made;
		document.title = `${screen.title(answer)} – workflow`;
		if (name !== 'find' && document.activeElement.id !== 'what') document.getElementById('what').value = '';
	} catch (error) {
		shown = null;
		main.replaceChildren(el('h1', {}, 'That did not work'), el('p', { class: 'error', role: 'alert' }, error.message), ...(error.more ?? []).map((text) => el('p', {}, text)));
	}
	if (!again) main.focus();
}

// ---- the page ----

// Say whose rights count.
async function tellRole() {
	const role = await call('who').catch(() => 'Log in');
	document.getElementById('role').textContent = role;
}

document.getElementById('search').addEventListener('submit', (event) => {
	event.preventDefault();
	const what = document.getElementById('what').value.trim();
	if (what !== '') location.hash = part('find', what);
});
document.getElementById('token-form').addEventListener('submit', (event) => {
	event.preventDefault();
	const token = document.getElementById('token').value.trim();
	if (token) sessionStorage.setItem('workflow-token', token);
	else sessionStorage.removeItem('workflow-token');
	document.getElementById('token').value = '';
	document.getElementById('login').open = false;
	shown = null;
	tellRole();
	show();
});
document.getElementById('refresh').addEventListener('click', () => show(true));
document.addEventListener('keydown', (event) => {
	const typing = event.target.matches?.('input, textarea') || document.getElementById('dialog').open;
	if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
		event.preventDefault();
		document.getElementById('what').focus();
	} else if (event.key === 'Escape' && event.target.id === 'what') main.focus();
});
window.addEventListener('hashchange', () => show());
// not while somebody is in the middle of something
setInterval(() => {
	if (document.visibilityState === 'visible' && !document.getElementById('dialog').open && (document.activeElement === document.body || document.activeElement === main)) show(true);
}, 10000);
tellRole();
show();

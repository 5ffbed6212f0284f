#
# The page in docs/page, in a headless Chromium, over a stand-in for PostgREST: what is stuck, processes, instances, what those may do who may,
# and what others do not see; by keyboard, on narrow screens, in the dark. WF_PICTURES=FOLDER keeps pictures of it.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Browser;
use PageServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

plan skip_all => 'there is no Chromium' unless defined Browser::path();
chdir "$FindBin::Bin/../.." or die "no checkout: $!";

my $node = new_server('page');
sub sql { my $text = shift; return $node->safe_psql('postgres', $text) }

sql(slurp_file('docs/page/workflow_page.sql'));
sql(q[
	CREATE ROLE web_anon; CREATE ROLE operator; CREATE ROLE clerk;
	GRANT USAGE ON SCHEMA workflow, workflow_page TO web_anon, operator, clerk;
	CREATE SERVER shop FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'http://127.0.0.1:9', allow_private 'true', max_in_flight '0');
	GRANT USAGE ON FOREIGN SERVER shop TO operator;
	CREATE TABLE orders (id bigint PRIMARY KEY, state text CHECK (state <> 'completed'));
	SELECT workflow.define('order', $$
	{ "description": "An order, from payment to parcel", "timeout": "30 days", "catch": [ { "on": "TIMED_OUT", "next": "too late" } ],
	  "steps": [
		{ "step": "receive", "next": ["check credit", "check stock"] },
		{ "step": "check credit", "wait": { "message": "credit", "key": "${$business_key}" }, "timeout": "2 days",
		  "catch": [ { "on": "TIMED_OUT", "next": "ask" }, { "every": "1 day", "interrupt": false, "next": "remind" } ], "next": "meet" },
		{ "step": "check stock", "sql": "SELECT 1 / (visit.data->>'stock')::int", "next": "meet" },
		{ "step": "remind", "notify": { "channel": "remind" }, "end": true },
		{ "step": "ask", "wait": { "task": { "title": "Look at it", "roles": ["clerk"] } },
		  "choose": [ { "when": "$.amount > 1000", "next": "refused" }, { "next": "check credit" } ] },
		{ "step": "refused", "end": { "error": "REFUSED" } },
		{ "step": "meet", "join": "all" },
		{ "step": "pack", "timeout": "1 day", "catch": [ { "on": "*", "next": "pack" } ],
		  "steps": [ { "step": "lines", "each": "$.lines", "wait": { "topic": "picking" } }, { "step": "label", "http": { "server": "shop", "path": "/labels" } } ] },
		{ "step": "parcel", "wait": true },
		{ "step": "too late", "end": { "abort": "too late" } } ] }
	$$);
	SELECT workflow.define('<b>x</b> & "y"', '{ "steps": [ { "step": "<img src=x onerror=alert(1)>", "wait": true } ] }');
	SELECT workflow.define('row', '{ "steps": [ { "step": "one", "wait": true } ] }');
	SELECT workflow.attach('orders', 'row', status_column => 'state');
	SELECT workflow.grant_process(p, 'operator', 'admin'), workflow.grant_process(p, 'clerk', 'view') FROM unnest(ARRAY['order', 'row', '<b>x</b> & "y"']) p;
	SELECT workflow.start('order', '{"stock": 0, "amount": 12345678901234567890.10, "lines": [1, 2]}', business_key => 'A 1/2');
	SELECT workflow.start('order', '{"stock": 1, "lines": []}', business_key => 'A 2');
	SELECT workflow.start('<b>x</b> & "y"', '{"a": "<script>alert(1)</script>"}', business_key => '<i>k</i>');
	INSERT INTO orders VALUES (1);]);
$node->poll_query_until('postgres', q[SELECT count(*) = 1 FROM workflow.incidents]) or die 'no incident';
sql(q[SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'row']);
$node->poll_query_until('postgres', q[SELECT count(*) = 1 FROM workflow.write_backs WHERE error IS NOT NULL]) or die 'no write-back is owed';

my $server = PageServer->new($node, 'postgres');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $browser = Browser->new($folder);
my $pictures = $ENV{WF_PICTURES};
sub picture { $browser->picture("$pictures/$_[0].png") if defined $pictures }
sub text { return $browser->value('document.querySelector("main").innerText') }
sub heading { return $browser->value('document.querySelector("main h1")?.innerText') // '' }

# Another screen, once it is there.
sub go
{
	my ($hash, $has) = @_;
	$browser->value("shown = null; location.hash === '$hash' ? void show() : void (location.hash = '$hash')");
	$browser->until('shown !== null && shown.startsWith(location.hash)') unless defined $has && $has =~ /alert/;
	$browser->until($has) if defined $has;
}

sub as
{
	my ($role) = @_;
	$browser->value("document.getElementById('token').value = '$role'; document.getElementById('token-form').requestSubmit()");
	$browser->until("document.getElementById('role').innerText === '" . ($role || 'web_anon') . "'");
}

# who may view nothing sees nothing
$browser->go($server->url);
$browser->until('document.getElementById("role").innerText === "web_anon" && shown !== null');
like(text(), qr/There are no processes that you may view/, 'who has no right sees no process');
unlike(text(), qr/order/, 'nor what is stuck');

# what is stuck comes first
as('operator');
$browser->until('document.querySelectorAll("main table").length >= 4');
is(heading(), 'What is stuck', 'the first screen says that something is stuck');
my @captions = @{ $browser->value('[...document.querySelectorAll("caption")].map((c) => c.innerText)') };
is(join(', ', @captions), 'Servers that are not called, Incidents, Rows that do not show what they should, Oldest waits, Processes', 'the worst comes first');
like(text(), qr/division by zero/, 'an incident with its error');
like(text(), qr/paused, 0 requests held back/, 'a server that is paused');
like(text(), qr/orders_state_check/, 'why a row is not written');
like(text(), qr/message, credit, A 2/, 'what is waited for, with its key');
is($browser->value('document.querySelectorAll("main b, main i, main img, main script").length'), 0, 'names are text');
picture('overview');

# a process, with what is alive in it
go('#/process/order', 'document.querySelector("svg.diagram") !== null');
like(heading(), qr/^order/, 'a process');
like(text(), qr/An order, from payment to parcel/, 'with its description');
is($browser->value('document.querySelector("g.incident").dataset.step'), 'check stock', 'where tokens stand is seen in the diagram');
my $drawn = $browser->value('[...document.querySelectorAll("svg g.node")].map((g) => g.dataset.step).filter((s) => s !== "").sort().join()');
for my $step ('ask', 'check credit', 'label', 'lines', 'meet', 'pack', 'parcel', 'receive', 'refused', 'remind', 'the process', 'too late')
{
	like(",$drawn,", qr/,\Q$step\E,/, "\"$step\" is drawn");
}
# no step lies on another one, but in what is around it
is($browser->value(<<'EOJ'), '', 'steps do not cover each other');
(() => {
	const boxes = [...document.querySelectorAll('svg g.node')].map((g) => [g.dataset.step, g.firstElementChild.getBoundingClientRect()]);
	const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
	const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
	return boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([, y]) => meet(x, y) && !within(x, y) && !within(y, x)).map(([b]) => `${a}/${b}`)).join();
})()
EOJ
cmp_ok($browser->value('document.querySelectorAll("path.way.dashed").length'), '==', 4, 'handlers are dashed');
picture('process');

go('#/process/none', 'document.querySelector("[role=alert]") !== null');
like(text(), qr/process "none" does not exist/, 'what the database says is told');

# an instance
my $i = sql(q[SELECT instance FROM workflow.instances WHERE business_key = 'A 1/2']);
my $sn = sql(q[SELECT serial_number FROM workflow.incidents]);
go("#/instance/$i", 'document.querySelectorAll("pre").length === 2');
like(text(), qr/12345678901234567890\.10/, 'data are shown as they are');
like(text(), qr/check stock \($sn\): became an incident/, 'with its story');
is($browser->value('[...document.querySelectorAll("main button")].map((b) => b.innerText).join()'), 'Suspend,Cancel,Retry,Skip,Move,Move', 'who may administer has buttons');
picture('instance');

# by keyboard alone: to the button, into the dialog, which says what it does, and out of it
$browser->value('document.querySelectorAll("main td button")[0].focus()');
$browser->press('Enter');
$browser->until('document.getElementById("dialog").open');
is($browser->value('document.activeElement.name'), 'new_key', 'the dialog has the focus');
picture('dialog');
$browser->press('Escape');
$browser->until('!document.getElementById("dialog").open');
is(sql(q[SELECT count(*) FROM workflow.attempts WHERE incident]), 0, 'what is cancelled does nothing');
sql(qq[SELECT workflow.set_data($i, '{"stock": 1}')]);
$browser->value('document.querySelectorAll("main td button")[0].focus()');
$browser->press('Enter');
$browser->until('document.getElementById("dialog").open');
$browser->press('Tab');
$browser->press('Enter');
$browser->until('document.getElementById("said") !== null');
is($browser->value('document.getElementById("said").innerText'), "$sn is tried again.", 'it says what it has done');
$node->poll_query_until('postgres', qq[SELECT NOT EXISTS (SELECT FROM workflow.incidents WHERE instance = $i)]) or die 'it still stands';
is(sql(qq[SELECT role FROM workflow.audit WHERE call = 'retry']), 'operator', 'with the rights of who is logged in');

# suspend, and resume
go('#/'); go("#/instance/$i", 'document.querySelector("main button") !== null');
$browser->click('main p button');
$browser->click('#dialog button[value=ok]');
$browser->until('document.getElementById("said")?.innerText === "It is suspended."');
is(sql(qq[SELECT status FROM workflow.instances WHERE instance = $i]), 'suspended', 'it is');
is($browser->value('document.querySelector("main p button").innerText'), 'Resume', 'and can be resumed');
$browser->click('main p button');
$browser->click('#dialog button[value=ok]');
$browser->until('document.getElementById("said")?.innerText === "It goes on."');
is(sql(qq[SELECT status FROM workflow.instances WHERE instance = $i]), 'active', 'it goes on');

# skip, with data; what is no JSON is said
sql(qq[SELECT workflow.start('order', '{"stock": 0, "lines": []}', business_key => 'A 3')]);
$node->poll_query_until('postgres', q[SELECT count(*) = 1 FROM workflow.incidents]) or die 'no incident';
my $skipped = sql(q[SELECT instance FROM workflow.incidents]);
go("#/instance/$skipped", 'document.querySelectorAll("main td button").length >= 2');
for my $try ([ '{"a"', qr/That is no JSON/ ], [ '{"a": 1}', qr/was skipped/ ])
{
	$browser->value('document.querySelectorAll("main td button")[1].click()');
	$browser->value("document.querySelector('#dialog textarea').value = '$try->[0]'");
	$browser->click('#dialog button[value=ok]');
	$browser->until('document.getElementById("said") !== null && !document.getElementById("dialog").open');
	like($browser->value('document.getElementById("said").innerText'), $try->[1], "skip with $try->[0]");
}
is(sql(qq[SELECT result->'response' FROM workflow.history WHERE instance = $skipped AND step = 'check stock']), '{"a": 1}', 'its response is what was given');

# what is incident, or waits, is moved to another step; an instance is cancelled, with a reason; a dialog that is left does nothing
sub pressed
{
	my ($text, $nth) = @_;
	$browser->value("document.getElementById('said')?.remove(); [...document.querySelectorAll('main button')].filter((b) => b.innerText === '$text')[" . ($nth // 0) . '].click()');
	$browser->until('document.getElementById("dialog").open');
}
sub said
{
	$browser->click('#dialog button[value=ok]');
	$browser->until('document.getElementById("said") !== null && !document.getElementById("dialog").open');
	return $browser->value('document.getElementById("said").innerText');
}
my $moved = sql(q[SELECT workflow.start('order', '{"stock": 1, "lines": []}', business_key => 'A 4')]);
is_soon($node, 'postgres', "SELECT string_agg(step, ', ' ORDER BY step) FROM workflow.visits WHERE instance = $moved AND waits_for <> 'steps'", 'check credit, meet', 'it waits');
go("#/instance/$moved", 'document.querySelectorAll("main td button").length >= 2');
my $credit = sql("SELECT serial_number FROM workflow.waiting WHERE instance = $moved AND step = 'check credit'");
my $at = $browser->value("[...document.querySelectorAll('main tbody tr')].findIndex((row) => row.innerText.includes('$credit') )");
$browser->value("document.querySelectorAll('main tbody tr')[$at].querySelector('button').click()");
$browser->until('document.getElementById("dialog").open');
like($browser->value('[...document.querySelectorAll("#dialog option")].map((o) => o.value).join()'), qr/^ask,check stock,meet,pack,parcel,/, 'to which step is chosen from those beside it');
$browser->value('document.querySelector("#dialog select").value = "ask"');
picture('move');
is(said(), "$credit was moved to ask.", 'a visit is moved');
is(sql("SELECT count(*) FROM workflow.visits WHERE instance = $moved AND step = 'ask'"), 1, 'its token is there');
pressed('Complete');
$browser->value("document.querySelector('#dialog textarea').value = '{\"seen\": true}'");
my $asked = sql("SELECT serial_number FROM workflow.waiting WHERE instance = $moved AND step = 'ask'");
is(said(), "$asked is completed.", 'a task is completed');
is(sql("SELECT result->'response', completed_by FROM workflow.history WHERE serial_number = '$asked'"), '{"seen": true}|operator', 'with what was given, by who is logged in');
pressed('Cancel');
$browser->click('#dialog button:not([value=ok])');
$browser->until('!document.getElementById("dialog").open');
is(sql("SELECT status FROM workflow.instances WHERE instance = $moved"), 'active', 'who goes back has cancelled nothing');
pressed('Cancel');
$browser->value('document.querySelector("#dialog input").value = "<b>no</b> stock"');
picture('cancel');
is(said(), 'It is cancelled.', 'an instance is cancelled');
is_soon($node, 'postgres', "SELECT status, error->>'message' FROM workflow.instances WHERE instance = $moved", 'aborted|<b>no</b> stock', 'with the reason');
go('#/'); go("#/instance/$moved", 'document.querySelector("h1")?.innerText.endsWith("aborted")');
is($browser->value('document.querySelectorAll("main button").length'), 0, 'what has ended has no buttons');
like(text(), qr/CANCELLED: <b>no<\/b> stock/, 'and says why');

# the search: a slash leads to it; a key that one has leads to that, a key of several to all of them
sql(q[SELECT workflow.start('row', business_key => 'A 2')]);
for my $find ([ 'A 1/2', qr/^Instance $i / ], [ $sn, qr/^Instance $i / ], [ $skipped, qr/^Instance $skipped / ], [ 'A 2', qr/^Found/ ], [ '<i>k</i>', qr/^Instance/ ], [ 'no', qr/^Nothing/ ], [ '9' x 30, qr/^Nothing/ ])
{
	$browser->value('document.getElementById("what").value = ""; document.activeElement.blur()');
	$browser->press('/');
	$browser->until('document.activeElement.id === "what"');
	$browser->type($find->[0]);
	$browser->press('Enter');
	$browser->until('/^#.(find|instance)/.test(location.hash) && shown?.startsWith(location.hash) && document.activeElement.id === "main"');
	$browser->value('new Promise((done) => setTimeout(done, 150))');
	like(heading(), $find->[1], "search for $find->[0]");
}

# text stays text
my $odd = sql(q[SELECT instance FROM workflow.instances WHERE business_key = '<i>k</i>']);
go("#/instance/$odd", 'document.querySelector("svg.diagram") !== null');
is($browser->value('document.querySelectorAll("main i, main img, main script").length'), 0, 'whatever characters it has');
like(text(), qr/<script>alert\(1\)<\/script>/, 'and is shown as it is');

# who may only view has no buttons, and no right
as('clerk');
go("#/instance/$i", "document.querySelector('h1')?.innerText.startsWith('Instance $i')");
is($browser->value('document.querySelectorAll("main button").length'), 0, 'who may view only has no buttons');
is($browser->value("call('suspend', { instance: $i }).then(() => 'done', (error) => error.message)"), 'permission denied for process "order"', 'the call asks for the right itself');
# who may complete one step has that button, there alone
my $row = sql(q[SELECT instance FROM workflow.instances WHERE process = 'row' AND business_key = 'A 2']);
my $later = sql(q[SELECT workflow.start('row', business_key => 'A 5')]);
sql(q[SELECT workflow.grant_process('row', 'clerk', 'complete', 'one'), workflow.grant_process('order', 'clerk', 'complete', 'parcel')]);
go("#/instance/$i", "document.querySelector('h1')?.innerText.startsWith('Instance $i')");
is($browser->value('document.querySelectorAll("main button").length'), 0, 'who may complete another step has no button');
go("#/instance/$row", "document.querySelector('h1')?.innerText.startsWith('Instance $row')");
is($browser->value('[...document.querySelectorAll("main button")].map((b) => b.innerText).join()'), 'Complete', 'who may complete has that button');
pressed('Complete');
like(said(), qr/is completed\.$/, 'and completes');
is(sql("SELECT status FROM workflow.instances WHERE instance = $row"), 'completed', 'it goes on');
sql(q[SELECT workflow.revoke_process('row', 'clerk', 'complete', 'one'), workflow.grant_process('row', 'clerk', 'start')]);
go("#/instance/$later", "document.querySelector('h1')?.innerText.startsWith('Instance $later')");
is($browser->value('[...document.querySelectorAll("main button")].map((b) => b.innerText).join()'), 'Cancel', 'who may start may cancel');

as('');
go("#/instance/$i", 'document.querySelector("h1")?.innerText.startsWith("There is no")');
pass('others are told of no such instance');
my @complaints = grep { !/status of 40[03]/ } $browser->complaints;
is(join("\n", @complaints), '', 'no script fails, and the policy of the page refuses nothing');

# narrow, and in the dark
as('operator');
$browser->size(390, 844);
for my $hash ('#/', '#/process/order', "#/instance/$i", '#/find/A%202')
{
	go($hash);
	$browser->value('new Promise((done) => setTimeout(done, 100))');
	cmp_ok($browser->value('document.documentElement.scrollWidth'), '<=', 390, "$hash fits a narrow screen");
	picture('narrow' . ($hash =~ s/\W+/_/gr));
}
$browser->size(1200, 900);
$browser->dark(1);
go("#/instance/$i", 'document.querySelector("svg.diagram") !== null');
# contrast of what is written, as WCAG counts it
my $contrast = $browser->value(<<'EOJ');
(() => {
	const parts = (c) => c.match(/[\d.]+/g).slice(0, 3).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
	const light = (c) => { const [r, g, b] = parts(c); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	const body = getComputedStyle(document.body).backgroundColor;
	const all = [...document.querySelectorAll('h1, p, td, th, caption, a, .state, .error')].map((e) => {
		const style = getComputedStyle(e), back = style.backgroundColor === 'rgba(0, 0, 0, 0)' ? body : style.backgroundColor;
		return ratio(style.color, back);
	});
	for (const g of document.querySelectorAll('g.node:not(.box)'))
		all.push(ratio(getComputedStyle(g.querySelector('text')).fill, getComputedStyle(g.firstElementChild).fill));
	return Math.min(...all);
})()
EOJ
cmp_ok($contrast, '>=', 4.5, 'what is written in the dark can be read');
picture('dark');
is(join("\n", $browser->complaints), '', 'nothing has failed until the end');

# The latest of a rare process are found without a walk through the history, and all that live
sql(q[
	SELECT workflow.define('rare', '{"steps": [{"step": "one", "wait": true}]}');
	SELECT workflow.grant_process('rare', 'operator', 'view');
	SELECT workflow.start('rare', business_key => 'old'), workflow.start('rare', business_key => 'older');
	SELECT workflow.complete(serial_number) FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE business_key = 'older';
	INSERT INTO workflow_data.instance_history (instance, process_id, version, attachment, started_at, ended_at, stored_at, status, data)
		SELECT 1000 + i, process_id, 1, 0, now(), now(), now(), 'completed', '{"a": "what an instance has"}' FROM workflow_data.process, generate_series(1, 60000) i WHERE process = 'row' ORDER BY i;
	SELECT setval('workflow_data.instance_seq', 100000);
	SELECT workflow.start('rare', business_key => 'new'), workflow.start('rare', business_key => 'newer');
	SELECT workflow.complete(serial_number) FROM workflow.waiting JOIN workflow.instances USING (instance) WHERE business_key = 'newer';]);
sql('VACUUM ANALYZE workflow_data.instance_history');
my $latest = q[SELECT string_agg(business_key, ' ' ORDER BY instance DESC) FROM workflow_page.latest('rare', among => 5000)];
is(sql("SET ROLE operator; $latest"), 'newer new old', 'the latest, and all that live');
my ($blocks) = map { ($_->[0] // 0) + ($_->[1] // 0) } [ sql("SET ROLE operator; $latest; EXPLAIN (ANALYZE, BUFFERS) $latest") =~ /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/ ];
my $all = sql("SELECT sum(pg_relation_size(inhrelid)) / 8192 FROM pg_inherits WHERE inhparent = 'workflow_data.instance_history'::regclass");
cmp_ok($blocks, '<', $all / 2, "reads $blocks blocks, and not the $all of the history");

undef $browser;
$server->stop;
$node->stop;
done_testing();

#
# ALTER EXTENSION workflow UPDATE of a database of 0.1 in which instances live: each goes on from the state in which it was, in place and in a copy.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use OldDatabase;
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $partner = Partner->start;
my $node = new_server('main', extension => 0, conf => "workflow.retention = ''\nworkflow.callback_base = 'https://hooks.example'\n");
old_roles($node);

# As a role.
sub by
{
	my ($role, $name, $sql) = @_;
	return $node->safe_psql($name, "SET ROLE $role; $sql");
}

# Instances by their business keys.
sub serial { return $node->safe_psql($_[0], "SELECT v.serial_number FROM workflow.visits v JOIN workflow.instances i USING (instance) WHERE i.business_key = '$_[1]'") }

sub becomes
{
	my ($name, $key, $status, $data) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($node, $name, "SELECT status || ' ' || (data @> '$data') FROM workflow.instances WHERE business_key = '$key'", "$status true", "$key: $status");
}

# ---- in place ----

old_database($node, 'shop', partner => $partner, days => 12, with => <<'EOQ');
UPDATE workflow.visit SET due_at = now() WHERE instance = (SELECT instance FROM workflow.instance WHERE business_key = 'clock due');
UPDATE workflow.visit SET due_at = now() + interval '1 day' WHERE instance = (SELECT instance FROM workflow.instance WHERE business_key = 'confirm');
UPDATE workflow.instance SET data = '{"code": 200}' WHERE business_key = 'flaky';
EOQ

my $before_sql = <<'EOQ';
SELECT (SELECT count(*) FROM workflow.instance), (SELECT count(*) FROM workflow.visit), (SELECT count(*) FROM workflow.instance_history), (SELECT count(*) FROM workflow.visit_history),
	(SELECT count(*) FROM workflow.attempt_history), (SELECT count(*) FROM workflow.late_callback), (SELECT count(*) FROM workflow.process_version)
EOQ
my $before = $node->safe_psql('shop', $before_sql);

# Before it is updated, nothing of ours works, and nothing breaks.
my $refused = qr/extension "workflow" has version 0\.1 in this database, its library version/;
for my $sql (
	"SELECT workflow.start('order')", "SELECT workflow.complete('6_18', '{}')", 'SELECT * FROM workflow.waiting', 'SELECT * FROM workflow.workers', 'INSERT INTO shop.orders VALUES (99)',
	"SELECT workflow.attach('shop.noted', 'order')", 'SELECT workflow.adopt()', 'CALL workflow.wait_for(5)')
{
	my ($status, undef, $stderr) = $node->psql('shop', $sql);
	ok($status != 0 && $stderr =~ $refused, "refused: $sql") or diag($stderr);
}
wait_until(sub { log_has($node, qr/workflow does nothing in database "shop": the extension there has version 0\.1/) }, 'workers do nothing there, and say so');
is(scalar(() = $partner->requests), 0, 'nothing was sent');

# Before workers come there is what there was.
is($node->safe_psql('shop', "BEGIN; ALTER EXTENSION workflow UPDATE; " . $before_sql =~ s/workflow\./workflow_data./gr . '; COMMIT'), $before, 'all rows are there');
is($node->safe_psql('shop', 'SELECT count(*) FROM workflow.verify()'), 0, 'its rows agree');
is($node->safe_psql('shop', q[SET search_path = shop; SELECT process, c.path, c.message, c.hint FROM workflow.processes p, workflow.check(p.definition) c WHERE c.severity = 'error']), '', 'definitions are what they were');
wait_for_workers($node, 'shop');

# What was due is done without anybody.
becomes('shop', '5', 'completed', '{"receipt": "r5"}');
becomes('shop', 'clock due', 'completed', '{}');
becomes('shop', 'flaky', 'completed', '{"called": true}');
becomes('shop', 'calling', 'completed', '{"called": true}');
becomes('shop', 'sql due', 'completed', '{"divided": true}');
becomes('shop', 'async due', 'completed', '{"one": 1}');
becomes('shop', 'slow calling', 'completed', '{"was_async": true}');
becomes('shop', 'called back before its reply', 'completed', '{}');
becomes('shop', 'confirm by clock', 'aborted', '{}');
is_soon($node, 'shop', "SELECT count(*) FROM shop.orders WHERE id IN (9, 10) AND sn IS NOT NULL AND state = 'active'", 2, 'rows of which requests were due show their numbers');
is_soon($node, 'shop', "SELECT state FROM shop.orders WHERE id = 5", 'completed', 'a write-back that was owed is made');
is_soon($node, 'shop', "SELECT state FROM shop.parcels WHERE id = 1", 'completed', 'and what its partition shows');
is_soon($node, 'shop', "SELECT count(*) FROM workflow.attempts a JOIN workflow.instances i ON i.instance = a.instance WHERE i.business_key = 'retrying'",
	2, 'what was to be tried again was tried');
is($node->safe_psql('shop', "SELECT v.state || v.attempt FROM workflow.visits v JOIN workflow.instances i USING (instance) WHERE i.business_key = 'retrying'"), 'retrying2', 'as its attempts go');
is($node->safe_psql('shop', 'SELECT what FROM shop.noted ORDER BY at DESC LIMIT 4') =~ /quotient 20/ ? 1 : 0, 1, 'statements have their effects');

# Handlers: the first had begun, the second has now, the third will.
becomes('shop', 'reminder second', 'active', '{"reminded": "yes", "second": true, "first": true}');
is($node->safe_psql('shop', <<'EOQ'), "reminder overdue|15|20\nreminder second|20|20", 'the others will, at their times');
SELECT business_key, round(extract(epoch FROM next_handler - entered_at) / 86400), round(extract(epoch FROM w.until - entered_at) / 86400)
FROM workflow_data.visit v JOIN workflow.instances i USING (instance) JOIN workflow.waiting w ON w.serial_number = workflow.serial_number(v.instance, v.visit)
WHERE business_key IN ('reminder second', 'reminder overdue') ORDER BY 1
EOQ
is($node->safe_psql('shop', q[SELECT count(*) FROM workflow.history h JOIN workflow.instances i USING (instance) WHERE business_key = 'reminder second' AND step = 'first']), 1, 'none begins again');

# What is waited for comes, by the serial numbers that rows have shown before.
is(by('upg_client', 'shop', q[SELECT workflow.complete(sn, '{"receipt": "r6"}') FROM shop.orders WHERE id = 6]), 't', 'a number that was given out is taken');
becomes('shop', '6', 'completed', '{"receipt": "r6"}');
is(by('upg_client', 'shop', q[SELECT workflow.callback(regexp_replace(callback, '.*/', ''), '{"by": "web"}') FROM shop.tokens]), 't', 'so is the token of a URL');
becomes('shop', 'hook 1', 'completed', '{"answer": {"by": "web"}}');
is(by('upg_client', 'shop', q[SELECT bool_and(workflow.complete(sn)) FROM shop.parcels WHERE id IN (2, 4)]), 't', 'those of partitions');
by('upg_client', 'shop', 'SELECT workflow.cancel(instance) FROM shop.orders WHERE id = 8');
becomes('shop', '8', 'aborted', '{}');
is_soon($node, 'shop', 'SELECT state FROM shop.orders WHERE id = 8', 'aborted', 'and its row says so');
by('upg_client', 'shop', "SELECT workflow.complete('" . serial('shop', 'reminder answered') . "')");
becomes('shop', 'reminder answered', 'completed', '{"first": true}');
for my $key ('quick waits', 'of what is undefined', 'cookie', 'caught')
{
	by('upg_client', 'shop', "SELECT workflow.complete('" . serial('shop', $key) . "')");
}
becomes('shop', 'quick waits', 'completed', '{"a": 1, "b": 2}');
becomes('shop', 'of what is undefined', 'completed', '{}');
becomes('shop', 'cookie', 'completed', '{"cookie": "node=7"}');
becomes('shop', 'caught', 'completed', '{"was": "404"}');

# Cancelling goes on in its phase.
is_soon($node, 'shop', q[SELECT count(*) FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE business_key IN ('confirm', 'ask', 'await') AND waits_for = 'cancel'], 3,
	'all services were asked to stop');
is(scalar(grep { ref $_->{body} || ($_->{body} // '') =~ /stop/ } $partner->requests('/echo')) > 0 ? 1 : 0, 1, 'those that had not been');
by('upg_client', 'shop', "SELECT workflow.complete('" . serial('shop', $_) . "', '{\"stopped\": true}')") for 'confirm', 'ask', 'await';
becomes('shop', $_, 'aborted', '{}') for 'confirm', 'ask', 'await';

# Incidents are mended by who could do that.
$node->safe_psql('shop', q[SELECT workflow.set_data(instance, '{"code": 200, "by": 2}') FROM workflow.incidents]);
by('upg_ops', 'shop', q[SELECT workflow.retry(serial_number) FROM workflow.incidents WHERE process IN ('failing', 'order')]);
becomes('shop', 'incident', 'completed', '{"called": true}');
by('upg_owner', 'shop', "SELECT workflow.skip('" . serial('shop', 'sql incident') . "')");
becomes('shop', 'sql incident', 'completed', '{"divided": true}');
is_soon($node, 'shop', 'SELECT (sn IS NOT NULL)::text || state FROM shop.orders WHERE id = 3', 'trueactive', 'one that had failed waits again');

# What was suspended is resumed, with what had come meanwhile.
is($node->safe_psql('shop', "SELECT count(*) FROM workflow.instances WHERE status = 'suspended'"), 3, 'what is suspended has stayed so');
by('upg_owner', 'shop', "SELECT workflow.resume(instance) FROM workflow.instances WHERE status = 'suspended'");
becomes('shop', 'reply kept', 'completed', '{"was_async": true}');
becomes('shop', 'suspended and called back', 'completed', '{"answer": {"early": true}}');
by('upg_client', 'shop', "SELECT workflow.complete('" . serial('shop', 'suspended hook') . "', '{\"late\": 1}')");
becomes('shop', 'suspended hook', 'completed', '{"answer": {"late": 1}}');
is(scalar(grep { $_->{path} =~ /s=2/ } $partner->requests('/delay')), 0, 'a request whose reply was kept is not sent again');

# The past is there, and callbacks are late for it.
my $was = $node->safe_psql('shop', "SELECT min(serial_number) FROM workflow.history WHERE step = 'ship' AND outcome = 'SUCCESS'");
is(by('upg_client', 'shop', "SELECT workflow.complete('$was', '{}')"), 'f', 'late is late');
is($node->safe_psql('shop', "SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$was'"), 2, 'and was before');
like($node->safe_psql('shop', "SELECT workflow.timeline(instance) FROM workflow.instances WHERE business_key = '1' AND process = 'order'"), qr/ship/, 'stories are told');
is($node->safe_psql('shop', "SELECT (error->>'message') || status FROM workflow.instances WHERE business_key = '4' AND process = 'order'"), 'no longer wantedaborted', 'why they ended');
is($node->safe_psql('shop', "SELECT erased FROM (SELECT workflow.erase(instance) FROM workflow.instances WHERE business_key = '2' AND process = 'order') e (erased)"), 't', 'what is over can be erased');

# New rows start new instances, under new numbers, and rows keep what they show.
by('upg_owner', 'shop', "INSERT INTO shop.orders (id, what) VALUES (11, 'new'); INSERT INTO shop.parcels (id, region) VALUES (5, 'eu')");
is_soon($node, 'shop', "SELECT count(*) FROM shop.orders WHERE id = 11 AND instance > 45 AND sn IS NOT NULL", 1, 'a new row starts an instance');
is($node->safe_psql('shop', 'SELECT (sn IS NOT NULL)::text || state FROM shop.parcels WHERE id = 5'), 'trueactive', 'one of a partition');
by('upg_owner', 'shop', "UPDATE shop.orders SET state = 'forged' WHERE id = 11");
is($node->safe_psql('shop', 'SELECT state FROM shop.orders WHERE id = 11'), 'active', 'what is shown is kept, which 0.1 did not');
by('upg_owner', 'shop', "UPDATE shop.parcels SET region = 'us' WHERE id = 5");
is($node->safe_psql('shop', 'SELECT state FROM shop.parcels WHERE id = 5'), 'active', 'a row may go to another partition');

# Old partitions are as new ones: the columns, but for their order, and the indexes.
is_soon($node, 'shop', q[SELECT count(DISTINCT inhparent) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relnamespace = 'workflow_data'::regnamespace
	AND inhparent::regclass::text ~ 'history$' AND NOT relname ~ '_20261(130|207|214)$'], 3, 'workers make new partitions');
is($node->safe_psql('shop', <<'EOQ'), '', 'and old ones do not differ from them');
WITH parts AS (SELECT inhparent::regclass AS parent, inhrelid AS oid, relname ~ '_20261(130|207|214)$' AS old FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relkind = 'r' AND inhparent::regclass::text LIKE 'workflow_data.%'),
told AS (
	SELECT parent, old, oid, concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull, attstorage, atthasdef, col_description(oid, attnum)) AS line FROM parts JOIN pg_attribute a ON attrelid = oid AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT parent, old, oid, regexp_replace(pg_get_indexdef(indexrelid), '[0-9]{8}[a-z_0-9]*', '', 'g') FROM parts JOIN pg_index ON indrelid = oid
	UNION ALL SELECT parent, old, oid, concat_ws(' ', 'table', relreplident, reloptions, relacl, relowner) FROM parts JOIN pg_class USING (oid))
SELECT DISTINCT a.parent, a.old, a.line FROM told a WHERE EXISTS (SELECT FROM parts p WHERE p.parent = a.parent AND p.old <> a.old AND NOT EXISTS (SELECT FROM told b WHERE b.oid = p.oid AND b.line = a.line)) ORDER BY 1, 2, 3
EOQ

# ---- a copy, two weeks later ----

old_database($node, 'copy', partner => $partner, own => 0, days => 25);
$node->safe_psql('copy', 'ALTER EXTENSION workflow UPDATE');
wait_until(sub { log_has($node, qr/workflow sends nothing in database "copy": it is a copy/) }, 'a copy is still one');
is($node->safe_psql('copy', "SELECT count(*) FROM workflow.instances WHERE business_key = 'reminder overdue' AND data ? 'overdue'"), 0, 'nothing is done');
$node->safe_psql('copy', 'SELECT workflow.adopt()');
becomes('copy', 'reminder overdue', 'completed', '{"reminded": "yes", "second": true, "overdue": true}');
is_soon($node, 'copy', q[SELECT outcome FROM workflow.incidents JOIN workflow.instances USING (instance) WHERE business_key = 'hook 1'], 'DIED', 'a heartbeat was missed');
becomes('copy', 'confirm', 'aborted', '{}');
cmp_ok(by('upg_client', 'copy', "SELECT workflow.start('quick')"), '>', 45, 'numbers go on');

$node->stop;
done_testing();

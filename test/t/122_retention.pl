#
# History that is past its retention goes, a partition at a time; what belongs to living instances stays. Nobody is held up
# by that, nor can an idle transaction stop the work of others through it. A partition that is missing is missed by nobody.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('retention', conf => "workflow.retention = '90 days'\n");
sub sql { return $node->safe_psql('postgres', shift) }
sql(
	q[
	CREATE TABLE effect (sn text);
	SELECT workflow.define('long', '{"steps": [
		{"step": "early", "set": {"early": true}}, {"step": "stand", "wait": true}, {"step": "late", "wait": {"after": "10 ms"}}]}');
	SELECT workflow.define('work', '{"steps": [{"step": "work", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.start('long') FROM generate_series(1, 4)]);

my $made = "SELECT count(*) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history'";
is_soon($node, 'postgres', "$made AND NOT EXISTS (SELECT FROM workflow_data.visit_stray)", 15, 'after the first start there are partitions of this week and of four more');

# Partitions of former weeks, made as ours are
my $week = q[to_char(date_trunc('week', (now() - interval '%s') AT TIME ZONE 'UTC'), 'YYYYMMDD')];
my @parents = split /\n/, sql("SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) ORDER BY 1");
sub make_partitions
{
	for my $ago (@_)
	{
		my $day = sql('SELECT ' . sprintf($week, $ago));
		my ($from, $to) = split /\|/, sql("SELECT '$day'::date || ' 00:00+00', '$day'::date + 7 || ' 00:00+00'");
		for my $parent (@parents)
		{
			my ($like) = split /\n/, sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'workflow_data.$parent'::regclass");
			sql("CREATE TABLE workflow_data.${parent}_$day (LIKE $like INCLUDING ALL); "
				  . "ALTER TABLE workflow_data.$parent ATTACH PARTITION workflow_data.${parent}_$day FOR VALUES FROM ('$from') TO ('$to')");
		}
	}
}

# What happened to these instances happened that long ago.
sub age
{
	my ($ago, @instances) = @_;
	my $list = join(',', @instances);
	sql("UPDATE workflow_data.$_ SET stored_at = stored_at - interval '$ago' WHERE instance IN ($list)") for @parents;
	sql("UPDATE workflow_data.late_callback SET received_at = received_at - interval '$ago' WHERE instance IN ($list)");
}

sub partitions
{
	return sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '_history_20' AND right(relname, 8) < "
		. sprintf($week, '90 days'));
}

# Whoever has run a SQL step looks for deliveries before it rests.
sub upkeep
{
	sql("UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'; SELECT workflow.start('work')");
}

# What is past retention goes.
sub partitions_go
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(sub { partitions() == 0 }, $name);
}

# ---- what goes, what stays ----

make_partitions('100 days', '1 year', '30 days');
my ($ended, $kept, $alive, $alive_too) = split /\n/, sql('SELECT instance FROM workflow.instances ORDER BY instance');
my %sn = split /[|\n]/, sql('SELECT instance, serial_number FROM workflow.waiting');
sql("SELECT workflow.complete('$sn{$_}')") for $ended, $kept;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE status = 'completed' AND process = 'long'", 2, 'two have ended');
is(sql("SELECT workflow.complete('$sn{$ended}'), workflow.complete('$sn{$kept}')"), 'f|f', 'two completions come late');
age('100 days', $ended, $alive);
age('1 year', $alive_too);
age('30 days', $kept);
is(partitions(), 2 * @parents, 'there are partitions past retention');
is(sql("SELECT count(*) FROM workflow.history WHERE step = 'early'"), 4, 'with history in it');

sql("INSERT INTO workflow_data.audit (at, process_id, instance, role, session_role, call) SELECT now() - interval '100 days', process_id, i, 'x', 'x', 'suspend' "
	  . "FROM workflow_data.process, unnest(ARRAY[$ended, $alive, NULL]) i WHERE process = 'long'");

my $snapshot = $node->background_psql('postgres');
$snapshot->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
upkeep();
partitions_go('they are gone, whoever holds a snapshot');
is(sql("SELECT string_agg(instance::text, ' ' ORDER BY instance) FROM workflow.history WHERE step = 'early'"), "$kept $alive $alive_too",
	'the steps of the living are kept, and what is not old enough');
is(sql('SELECT count(*) FROM workflow.instances WHERE instance IN (' . join(',', $ended, $kept) . ')'), 1, 'what has ended long ago is gone');
is_soon($node, 'postgres', 'SELECT string_agg(serial_number, $$ $$) FROM workflow.late_callbacks', $sn{$kept}, 'with what came late');
is_soon($node, 'postgres', "SELECT string_agg(instance::text, ' ') FROM workflow.audit WHERE call = 'suspend'", $alive, 'with the record of what was called');
is(sql("SELECT count(*) > 0 FROM workflow.audit WHERE call = 'define'"), 't', '... what is younger stays');

# ---- calls that were made asynchronously: what is old goes, and the others are not read for that ----

my $add = "INSERT INTO workflow_data.operation (requested_at, done_at, role, role_name, session_role, session_role_name, call) "
	  . "SELECT now() - %s, now() - %s, 10, 'x', 10, 'x', 'send_signal' FROM generate_series(1, %d)";
sql(sprintf($add, ("interval '100 days'") x 2, 6000) . '; ' . sprintf($add, ("interval '1 day'") x 2, 30000));
sql('VACUUM ANALYZE workflow_data.operation');
upkeep();
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.operation", 30000, 'the record of calls that is past retention goes');
my $looked = 'SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = $$operation$$';
my $since;
wait_until(sub { my $before = $since // -1; $since = sql($looked); sleep 1; $before == $since }, 'and that is told');
upkeep();
wait_until(sub { sql($looked) > $since }, 'an hour later some is looked at');
cmp_ok(sql($looked) - $since, '<', 15000, '... but not all that is younger');

my (undef, undef, $stderr) = $node->psql('postgres', "SELECT workflow.complete('$sn{$ended}')");
like($stderr, qr/is no longer kept in the history/, 'nobody knows it any more');
is(sql("SELECT workflow.complete('$sn{$kept}')"), 'f', 'the other one has ended');
is(sql("SELECT workflow.complete('$sn{$alive}')"), 't', 'the living live');
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $alive", 'completed', '... and go on');
$snapshot->query_safe('COMMIT');

# ---- it takes long to look through what is to go ----

make_partitions('200 days');
my $stays = sql("SELECT workflow.start('long')");
age('200 days', $stays);
# a row that is to be moved forward holds that up; who then wants a partition that is looked into gets it before what comes next
my $row = $node->background_psql('postgres');
$row->query_safe("BEGIN; SELECT FROM workflow_data.visit_history WHERE instance = $stays FOR UPDATE");
upkeep();
my $next = sql("SELECT max(relname) FROM pg_class WHERE relname ~ '^instance_history_20' AND relkind = 'r'");
my $locks = "SELECT string_agg(mode || ' ' || granted, ', ' ORDER BY granted, mode) FROM pg_locks WHERE relation = 'workflow_data.$next'::regclass";
is_soon($node, 'postgres', $locks, 'AccessShareLock true', 'what is kept is being moved');
my $holder = $node->background_psql('postgres');
$holder->query_until(qr/sent/, "\\echo sent\nBEGIN; LOCK TABLE workflow_data.$next IN ACCESS EXCLUSIVE MODE;\n");
is_soon($node, 'postgres', $locks, 'AccessExclusiveLock false, AccessShareLock true', 'somebody waits behind that');
$row->query_safe('ROLLBACK');
is_soon($node, 'postgres', $locks, 'AccessShareLock false, AccessExclusiveLock true', 'the partition that is to go is being looked through');
my $meanwhile = sql("SET lock_timeout = '30 s'; SELECT workflow.start('long')");
is(sql("SET lock_timeout = '30 s'; SELECT workflow.complete(workflow.serial_number(instance, visit)) FROM workflow_data.visit WHERE instance = $meanwhile"), 't', 'meanwhile clients go on');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow_data.instance WHERE instance = $meanwhile", 0, 'and so do workers');
is(sql($locks), 'AccessShareLock false, AccessExclusiveLock true', '... while it is still being looked through');
$holder->query_safe('COMMIT');
partitions_go('after that it is dropped');

# ---- far more is kept than one transaction has time for ----

make_partitions('200 days');
my $stands = sql("SELECT workflow.start('long')");
my $wide = sql('SELECT ' . sprintf($week, '200 days'));
sql("INSERT INTO workflow_data.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, webhook, step, outcome, completed_by, scope, result) "
	  . "SELECT $stands, -n, process_id, 1, ended_at - interval '200 days', ended_at - interval '200 days', stored_at - interval '200 days', "
	  . "webhook, step, outcome, completed_by, scope, jsonb_build_object('filler', repeat('x', 1800)) FROM workflow_data.visit_history, generate_series(1, 2000) n WHERE instance = $stands");
sql(
	qq[
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.003); RETURN OLD; END';
	CREATE TRIGGER slow BEFORE DELETE ON workflow_data.visit_history_$wide FOR EACH ROW EXECUTE FUNCTION slow();
	ALTER SYSTEM SET workflow.sql_timeout = '5 s']);
$node->reload;
is_soon($node, 'postgres', 'SHOW workflow.sql_timeout', '5s', 'a transaction of a worker has 5 s');
upkeep();
partitions_go('it is moved on all the same, and the partition dropped');
is(sql("SELECT count(*) FROM workflow_data.visit_history WHERE instance = $stands AND visit < 0"), 2000, 'nothing is missing');
sql('ALTER SYSTEM RESET workflow.sql_timeout');
$node->reload;

# ---- processes that say themselves how long: what came late goes with the history of its visit ----

my %own = (ever => '0', longer => '1 year', shorter => '1 day', default => undef);
for my $name (keys %own)
{
	my $says = defined $own{$name} ? qq["retention": "$own{$name}", ] : '';
	sql("SELECT workflow.define('$name', '{$says\"start_on\": [{\"webhook\": \"w\"}], \"steps\": [{\"step\": \"stand\", \"wait\": true}]}'); "
		  . "SELECT workflow.webhook(workflow.webhook_token('$name', 'w'), '{}', jsonb_build_object('Idempotency-Key', n::text)) FROM generate_series(1, 2) n");
}
make_partitions('300 days');
my $late = "SELECT string_agg(DISTINCT process, ' ' ORDER BY process) FROM workflow.late_callbacks JOIN workflow.history USING (serial_number, instance, process) WHERE process <> 'long'";
sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process IN ('ever', 'longer', 'shorter', 'default')");
sql("SELECT workflow.complete(serial_number) FROM workflow.history WHERE process IN ('ever', 'longer', 'shorter', 'default')");
is(sql($late), 'default ever longer shorter', 'callbacks came late in processes of every kind');
my @old = split /\n/, sql("SELECT min(instance) FROM workflow.instances WHERE process IN ('ever', 'longer', 'default') GROUP BY process");
age('300 days', @old);
my ($short) = sql("SELECT min(instance) FROM workflow.instances WHERE process = 'shorter'");
sql("UPDATE workflow_data.instance_history SET ended_at = ended_at - interval '300 days' WHERE instance IN (" . join(',', @old, $short) . ')');
upkeep();
partitions_go('the old partition is gone');
is_soon($node, 'postgres', 'SELECT process, count(*) FROM workflow.instances JOIN workflow.history USING (instance, process) JOIN workflow.late_callbacks USING (serial_number, instance, process) '
	  . "WHERE process IN ('ever', 'longer', 'shorter', 'default') GROUP BY 1 ORDER BY 1", "default|1\never|2\nlonger|2\nshorter|1", 'each is kept as long as its process says, with what came late');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow_data.late_callback l WHERE NOT EXISTS (SELECT FROM workflow_data.visit_history h WHERE h.instance = l.instance AND h.visit = l.visit)', 0, 'nothing is orphaned');

is_soon($node, 'postgres', 'SELECT process, count(*) FROM workflow_data.webhook_start JOIN workflow_data.process USING (process_id) GROUP BY 1 ORDER BY 1',
	"default|1\never|2\nlonger|2\nshorter|1", 'and so is what is known of webhooks that have started them');

# ---- somebody has a lock on it ----

make_partitions('200 days');
my $old = partitions();
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM workflow.history; SELECT count(*) FROM workflow.instances; SELECT count(*) FROM workflow.attempts');
upkeep();
my $begin = time();
my $instance = sql("SELECT workflow.start('long')");
is(sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance"), 't', 'clients go on');
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', 'so do workers');
cmp_ok(time() - $begin, '<', 10, 'nobody waits for long');
is_soon($node, 'postgres', "SELECT due_at > clock_timestamp() FROM workflow_data.delivery WHERE kind = 'maintain'", 't', 'upkeep has begun');
stays(1.5, \&partitions, $old, 'what is being read is not dropped');
$reader->query_safe('COMMIT');
upkeep();
partitions_go('but the next time');

# ---- with clients at work all the time ----

make_partitions('200 days');
my $script = $node->basedir . '/complete.sql';
append_to_file($script, "SELECT workflow.start('long') AS i \\gset\nSELECT workflow.complete(workflow.serial_number(instance, visit)) FROM workflow_data.visit WHERE instance = :i AND step = 'stand';\n");
my $run = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 4, '-f', $script, $node->connstr('postgres') . ' application_name=busy' ], '>', \my $output, '2>&1');
is_soon($node, 'postgres', "SELECT count(*) >= 4 FROM pg_stat_activity WHERE application_name = 'busy'", 't', 'clients are at work');
upkeep();
partitions_go('dropped in between');
ok($run->finish && $output =~ /number of failed transactions: 0 /, 'no client has noticed') or diag($output);

# ---- partitions that are missing ----

my $drop = "SELECT 'DROP TABLE ' || string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits WHERE inhparent::regclass::text ~ 'history' \\gexec\n";
my $strays = "SELECT (SELECT count(*) FROM workflow_data.visit_stray) + (SELECT count(*) FROM workflow_data.attempt_stray) + (SELECT count(*) FROM workflow_data.instance_stray)";
is_soon($node, 'postgres', $strays, 0, 'there are no strays');
sql($drop);
is(sql($made), 0, 'there are no partitions');
my $sn = sql('SELECT max(serial_number) FROM workflow.waiting');
is(sql("BEGIN; SELECT workflow.complete('$sn'); $made; SELECT count(*) FROM workflow_data.visit_stray; COMMIT"), "t\n0\n1", 'a client makes none: what ends goes astray');
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.instances WHERE instance = ' . ($sn =~ s/_.*//r) . " AND status = 'completed'", 1, 'and all goes on');
is_soon($node, 'postgres', $made, 15, 'a worker makes them, with those of the weeks to come');
is_soon($node, 'postgres', $strays, 0, 'and takes the strays there');
is(sql("SELECT count(*) FROM workflow_data.visit_history WHERE workflow.serial_number(instance, visit) = '$sn'"), 1, 'where they are found');
sql("SELECT workflow.define('clock', '{\"steps\": [{\"step\": \"clock\", \"wait\": {\"after\": \"0.5 s\"}}]}'); SELECT workflow.start('clock')");
sql($drop);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'clock' AND status = 'completed'", 1, 'the dispatcher makes none either');
sql($drop);
sql("SELECT workflow.start('work')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'work' AND status = 'completed'", 1, 'nor does an executor');
is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'no incident');

# clients at work while they go, are made and are gone again
my $before = sql("SELECT count(*) FROM workflow.history WHERE step = 'stand'");
$run = IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-T', 6, '-f', $script, $node->connstr('postgres') . ' application_name=busy' ], '>', \$output, '2>&1');
is_soon($node, 'postgres', "SELECT count(*) >= 4 FROM pg_stat_activity WHERE application_name = 'busy'", 't', 'clients are at work');
my $gone = 0;
for (1 .. 3)
{
	# a worker that was about to make some when the others went has no reason to look again before the next round
	upkeep();
	is_soon($node, 'postgres', $made, 15, 'there are partitions');
	# what is in them must not go with them; all at once, lest a worker that finds some missing makes those, and nobody
	# misses the others for an hour
	my @old = split /\n/, sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent::regclass::text ~ '_history'");
	sql("BEGIN; CREATE SCHEMA aside_$gone;" . join(';', map { 'ALTER TABLE ' . s/_\d+$//r . " DETACH PARTITION $_; ALTER TABLE $_ SET SCHEMA aside_$gone" } @old) . '; COMMIT');
	# should the clients have come to their end
	sql("SELECT workflow.start('work')");
	$gone++;
}
ok($run->finish && $output =~ /number of failed transactions: 0 /, 'no client has noticed') or diag($output);
my ($transactions) = $output =~ /actually processed: (\d+)/;
is_soon($node, 'postgres', $strays, 0, 'what came in between has found its place');
my $aside = join(' + ', map { "(SELECT count(*) FROM $_ WHERE step = 'stand')" } split /\n/, sql("SELECT oid::regclass FROM pg_class WHERE relnamespace::regnamespace::text ~ '^aside_' AND relname ~ '^visit_history' AND relkind = 'r'"));
is(sql("SELECT (SELECT count(*) FROM workflow.history WHERE step = 'stand') + $aside"), $before + $transactions, 'and nothing is lost');

# one is missed while a round of upkeep is past making any
my $busy = $node->background_psql('postgres');
$busy->query_safe('BEGIN; LOCK TABLE workflow_data.attachment IN EXCLUSIVE MODE');
upkeep();
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE relation = 'workflow_data.attachment'::regclass AND NOT granted", 1, 'upkeep has come to what is last');
sql($drop);
sql("SELECT workflow.complete(serial_number) FROM (SELECT serial_number FROM workflow.waiting ORDER BY since LIMIT 1) w");
stays(2, sub { sql("SELECT ($strays) > 0") }, 't', '... and makes no partitions now');
$busy->query_safe('COMMIT');
is_soon($node, 'postgres', $strays, 0, 'but at once when it is over');

# a client that takes its time after it has found none
sql($drop);
my $session = $node->background_psql('postgres');
my $open = sql("SELECT serial_number FROM workflow.waiting ORDER BY since LIMIT 1");
$session->query_safe("BEGIN; SELECT workflow.complete('$open')");
upkeep();
is_soon($node, 'postgres', $made, 15, 'does not keep them from being made');
$session->query_safe('COMMIT');
my $old_dispatcher = wait_for_workers($node, 'postgres');
sql("SELECT pg_terminate_backend($old_dispatcher)");
is_soon($node, 'postgres', "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'workflow dispatcher' AND pid <> $old_dispatcher", 'Extension', 'a dispatcher begins');
is_soon($node, 'postgres', $strays, 0, 'and lets strays be brought home');

$_->quit for $busy, $session, $reader, $snapshot, $row, $holder;

$node->stop;
done_testing();

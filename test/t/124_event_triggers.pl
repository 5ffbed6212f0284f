#
# Event triggers of an administrator: they log DDL with names that only he sees, forbid it, or take their time. The partitions of
# the history are made and dropped by upkeep alone: what fails there is announced and tried again, and nobody's fault.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use JSON::PP;
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $node = new_server('triggers', conf => "workflow.retention = '90 days'\nworkflow.sql_timeout = '2 s'\nmax_prepared_transactions = 5\n");
my $partner = Partner->start;
add_http_server($node, $partner);
sub sql { return $node->safe_psql('postgres', shift) }

my $made = "SELECT count(*) FROM pg_inherits WHERE inhparent::regclass::text ~ '_history\$'";
my $strays = "SELECT (SELECT count(*) FROM workflow_data.visit_stray) + (SELECT count(*) FROM workflow_data.attempt_stray) + (SELECT count(*) FROM workflow_data.instance_stray)";
my $error = "SELECT error FROM workflow.workers WHERE kind = 'dispatcher'";
my $drop = "SELECT 'DROP TABLE ' || inhrelid::regclass FROM pg_inherits WHERE inhparent::regclass::text ~ '_history\$' \\gexec\n";

# Upkeep is due.
sub upkeep
{
	sql("UPDATE workflow_data.delivery SET due_at = clock_timestamp() WHERE kind = 'maintain'; SELECT workflow.start('sql')");
}

# A trigger for all DDL.
sub on_ddl
{
	my ($event, $body, $when) = @_;
	sql("DROP EVENT TRIGGER IF EXISTS policy; CREATE OR REPLACE FUNCTION public.policy() RETURNS event_trigger LANGUAGE plpgsql AS \$\$$body\$\$;"
		  . "CREATE EVENT TRIGGER policy ON $event " . ($when // '') . ' EXECUTE FUNCTION public.policy()');
}

# The history of weeks that were made ahead is used up.
sub use_up
{
	is_soon($node, 'postgres', $strays, 0, 'there are no strays');
	sql("ALTER EVENT TRIGGER policy DISABLE; $drop ALTER EVENT TRIGGER policy ENABLE");
}

# Whatever ends while there is no partition is found, wherever one looks.
sub works
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %instance = map { $_ => sql("SELECT workflow.start('$_')") } qw(approve clock sql call pure);
	my $list = join(',', values %instance);
	my $sn = sql("SELECT serial_number FROM workflow.waiting WHERE instance = $instance{approve}");
	is(sql("SELECT workflow.complete('$sn')"), 't', "$name: complete() works");
	is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE status = 'completed' AND instance IN ($list)", 5, 'all come to their end');
	is(sql("SELECT string_agg(process || ' ' || outcome, ', ' ORDER BY process, step) FROM workflow.history WHERE instance IN ($list)"),
		'approve SUCCESS, call SUCCESS, clock SUCCESS, pure SUCCESS, pure SUCCESS, sql SUCCESS', 'and are in the history');
	is(sql("SELECT string_agg(a.attempt || ' ' || coalesce(a.http_status, 0), ', ' ORDER BY a.attempt) FROM workflow.attempts a JOIN workflow.history h USING (serial_number) WHERE h.instance = $instance{call}"),
		'1 503, 2 200', 'so are their attempts');
	like(sql("SELECT string_agg(line, E'\\n') FROM workflow.timeline($instance{call}) line"), qr/503.*SUCCESS/s, 'the timeline tells of it');
	is(sql("SELECT workflow.complete('$sn', '{\"late\": 1}')"), 'f', 'a second completion is late');
	is(sql("SELECT count(*) FROM workflow.late_callbacks WHERE serial_number = '$sn'"), 1, 'and recorded');
	is(sql("CALL workflow.wait_for($instance{approve})"), 'completed', 'wait_for() knows of it');
	is(sql("SELECT workflow.cancel($instance{approve})"), 'f', 'cancel() too');
	is(sql("INSERT INTO orders (id) SELECT coalesce(max(id), 0) + 1 FROM orders RETURNING id"), sql('SELECT max(id) FROM orders'), 'an attached table takes rows');
	is_soon($node, 'postgres', 'SELECT state FROM orders ORDER BY id DESC LIMIT 1', 'completed', 'and shows the end');
	is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'there are no incidents');
	return \%instance;
}

# ---- before the first start there is nothing ----

sql(
	q[
	CREATE TABLE orders (id int PRIMARY KEY, state text);
	SELECT workflow.define('approve', '{"steps": [{"step": "approve", "wait": true}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "a", "wait": {"after": "10 ms"}}]}');
	SELECT workflow.define('sql', '{"steps": [{"step": "a", "sql": "SELECT 1"}]}');
	SELECT workflow.define('pure', '{"steps": [{"step": "a", "set": {"a": 1}}, {"step": "b", "set": {"b": 2}}]}');
	SELECT workflow.define('call', '{"steps": [{"step": "call", "http": {"server": "partner", "path": "/flaky", "query": {"fail": "1", "key": "${$instance}"}},
		"retry": {"max": 2, "delay": "10 ms"}}]}');
	SELECT workflow.attach('orders', 'sql', status_column => 'state')]);
wait_for_workers($node, 'postgres');
is_soon($node, 'postgres', "SELECT due_at > clock_timestamp() AND attempt = 0 FROM workflow_data.delivery WHERE kind = 'maintain'", 't', 'upkeep was there');
is(sql($made), 0, 'no partition is made before the first start');
my $dump = $node->basedir . '/empty.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'such a database is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('empty') ], 'and restored');
is($node->safe_psql('empty', "SELECT count(*) FROM workflow.processes; $made"), "5\n0", 'as it was');
$node->safe_psql('postgres', 'DROP DATABASE empty WITH (FORCE)');

# ---- a first start that ends at once; a policy that forbids tables ----

on_ddl('ddl_command_start', q[BEGIN IF session_user <> 'deploy' THEN RAISE EXCEPTION 'tables are made by role deploy, not by %', session_user; END IF; END], q[WHEN TAG IN ('CREATE TABLE')]);
my $log = -s $node->logfile;
my $listener = $node->background_psql('postgres');
$listener->query_safe('LISTEN workflow');
my $pure = sql("SELECT workflow.start('pure')");
is(sql("SELECT status FROM workflow.instances WHERE instance = $pure"), 'completed', 'a first start ends in its own transaction');
is_soon($node, 'postgres', "$error", 'partitions of the history cannot be made: tables are made by role deploy, not by postgres', 'the view workers says what fails');
sql('CREATE ROLE nosy; GRANT USAGE ON SCHEMA workflow TO nosy');
is(sql("SET ROLE nosy; $error"), 'partitions of the history cannot be made', 'and does not tell everybody why');
ok(log_has($node, qr/WARNING:  workflow: partitions of the history cannot be made: tables are made by role deploy.*HINT:  Nothing is lost by that/s, $log), 'so does the log');
is(count_in_log($node, qr/WARNING:  workflow: partitions/, $log), 1, '... once for all partitions');
my $told = $listener->query('SELECT 1');
my ($payload) = map { decode_json($_) } $told =~ /Asynchronous notification "workflow" with payload "(\{.*?\})" received/g;
is($payload->{event}, 'partition', 'and a notification');
is(join(' ', sort keys %$payload), 'count event since', '... with no texts');
is($payload->{count}, 1, '... how often it has failed');
is(sql("SELECT '$payload->{since}'::timestamptz BETWEEN now() - interval '1 min' AND now()"), 't', '... and since when');
is(sql("SELECT due_at BETWEEN now() + interval '20 s' AND now() + interval '1 min' FROM workflow_data.delivery WHERE kind = 'maintain'"), 't', 'it is tried again after a pause');
works('with a policy that forbids tables');
is(sql("SELECT attempt FROM workflow_data.delivery WHERE kind = 'maintain'"), 1, 'what goes astray does not shorten the pause');
upkeep();
is_soon($node, 'postgres', "SELECT attempt, due_at > now() + interval '80 s' FROM workflow_data.delivery WHERE kind = 'maintain'", '2|t', 'which grows');
my $before = sql('SELECT count(*) FROM workflow.history');

# a copy takes them along
sql("BEGIN; SELECT workflow.start('pure'); PREPARE TRANSACTION 'astray'"); # and one in two phases, which is no part of it
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dump.c", $node->connstr('postgres') ], 'a database with strays is dumped');
$node->safe_psql('postgres', "CREATE DATABASE copy");
$node->command_ok([ 'pg_restore', '-j', '2', '--exit-on-error', '-d', $node->connstr('copy'), "$dump.c" ], 'and restored');
is($node->safe_psql('copy', 'SELECT count(*) FROM workflow.history'), $before, 'as it was');
is_soon($node, 'copy', "SELECT state FROM workflow.workers WHERE database = 'copy' AND kind = 'dispatcher'", 'paused: a copy', 'it is a copy');
my $instance = $node->safe_psql('copy', "SELECT workflow.start('approve')");
is($node->safe_psql('copy', "SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $instance"), 't', 'which takes complete()');
is($node->safe_psql('copy', "SELECT status FROM workflow.instances WHERE instance = $instance"), 'completed', 'and keeps what ends there');
is($node->safe_psql('copy', $made), 0, 'without partitions');
$node->safe_psql('copy', 'DROP EVENT TRIGGER policy; SELECT workflow.adopt()');
is_soon($node, 'copy', $made, 15, 'until it is adopted');
is_soon($node, 'copy', $strays, 0, 'and the strays are brought home');
is($node->safe_psql('copy', 'SELECT count(*) FROM workflow.history'), $before + 1, 'all of them');
like($node->safe_psql('copy', "SELECT error FROM workflow.workers WHERE kind = 'dispatcher' AND database = 'postgres'"), qr/tables are made by role deploy/, 'who monitors sees from there what fails elsewhere');
$node->safe_psql('postgres', 'DROP DATABASE copy WITH (FORCE)');

sql("CREATE ROLE deploy SUPERUSER; DROP EVENT TRIGGER policy; COMMIT PREPARED 'astray'");
$log = -s $node->logfile;
upkeep();
is_soon($node, 'postgres', $made, 15, 'when it may, upkeep makes them');
is_soon($node, 'postgres', $strays, 0, 'strays are brought home');
is(sql("SELECT count(*) FROM workflow.history WHERE process <> 'sql'"), sql("SELECT count(*) FROM workflow_data.visit_history JOIN workflow_data.process USING (process_id) WHERE process <> 'sql'"), 'all of them');
is_soon($node, 'postgres', $error =~ s/error/error IS NULL/r, 't', 'and nothing fails any more');
ok(log_has($node, qr/LOG:  workflow: upkeep of the history works again/, $log), 'as the log says');
is_soon($node, 'postgres', "SELECT attempt FROM workflow_data.delivery WHERE kind = 'maintain'", 0, 'it is due in an hour');

# ---- a trigger that logs with names that are not there ----

sql('CREATE TABLE public.ddl_log (at timestamptz, tag text, object text)');
on_ddl('ddl_command_end', q[
	DECLARE r record;
	BEGIN
		FOR r IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
			INSERT INTO ddl_log VALUES (now(), r.command_tag, r.object_identity);
		END LOOP;
	END]);
use_up();
works('with a log that is not found');
is_soon($node, 'postgres', $error, 'partitions of the history cannot be made: relation "ddl_log" does not exist', 'a log that is not found is told of');
is(sql($made), 0, 'nothing was made');
sql('ALTER FUNCTION public.policy() SET search_path = public');
upkeep();
is_soon($node, 'postgres', $made, 15, 'with a search_path of its own it works');
is(sql("SELECT count(DISTINCT object) FROM ddl_log WHERE object ~ 'workflow.*history_20' AND tag = 'CREATE TABLE'"), 15, 'and logs');
is_soon($node, 'postgres', $strays, 0, 'strays are brought home');

# ---- one that takes its time, and heeds no limit ----

on_ddl('ddl_command_start', 'BEGIN PERFORM pg_sleep(3600); END', q[WHEN TAG IN ('CREATE TABLE')]);
use_up();
works('with a trigger that does not come to an end');
is_soon($node, 'postgres', $error, 'partitions of the history cannot be made: it took longer than it may', 'it is given up');
on_ddl('ddl_command_start', q[BEGIN
	LOOP
		BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END;
	END LOOP;
END], q[WHEN TAG IN ('CREATE TABLE')]);
upkeep();
is_soon($node, 'postgres', $error, 'upkeep of the history cannot be carried out: it took longer than workflow.sql_timeout allows, and could not be cancelled', 'one that catches that, too');
works('after that');
sql('DROP EVENT TRIGGER policy');
upkeep();
is_soon($node, 'postgres', $strays, 0, 'strays are brought home');
is_soon($node, 'postgres', $error =~ s/error/error IS NULL/r, 't', 'nothing fails any more');

# ---- what must not be dropped ----

my ($from, $to, $day) = split /\|/, sql("SELECT d || ' 00:00+00', d + 7 || ' 00:00+00', to_char(d, 'YYYYMMDD') FROM (SELECT (date_trunc('week', (now() - interval '200 days') AT TIME ZONE 'UTC'))::date) w (d)");
sql("CREATE TABLE workflow_data.${_}_$day (LIKE workflow_data.$_); ALTER TABLE workflow_data.$_ ATTACH PARTITION workflow_data.${_}_$day FOR VALUES FROM ('$from') TO ('$to')") for qw(visit_history attempt_history instance_history);
on_ddl('sql_drop', q[BEGIN RAISE EXCEPTION 'nothing is dropped here'; END]);
upkeep();
is_soon($node, 'postgres', $error, 'partitions of the history that are past retention cannot be dropped: nothing is dropped here', 'what cannot be dropped is told of');
is(sql($made), 18, 'and stays');
works('with a trigger that forbids DROP');
on_ddl('ddl_command_start', 'BEGIN PERFORM pg_sleep(3600); END', q[WHEN TAG IN ('DROP TABLE')]);
upkeep();
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'workflow_data.visit_history'::regclass", 1, 'one that takes its time holds locks');
my $begin = time();
sql("SELECT workflow.start('pure')");
cmp_ok(time() - $begin, '<', 10, '... not for long');
is_soon($node, 'postgres', $error, 'partitions of the history that are past retention cannot be dropped: it took longer than it may', 'it is given up');
sql('DROP EVENT TRIGGER policy');
upkeep();
is_soon($node, 'postgres', $made, 15, 'when they may be dropped they are');

# ---- a table in the place of a partition ----

on_ddl('ddl_command_start', 'BEGIN NULL; END');
use_up();
my $week = sql(q[SELECT to_char(date_trunc('week', now() AT TIME ZONE 'UTC'), 'YYYYMMDD')]);
sql("GRANT CREATE, USAGE ON SCHEMA workflow_data TO nosy; SET ROLE nosy; CREATE TABLE workflow_data.visit_history_$week (LIKE workflow.history)");
upkeep();
is_soon($node, 'postgres', $error, "partitions of the history cannot be made: the table workflow_data.visit_history_$week, which is to be a partition of the history, belongs to somebody else", 'is told of');
is_soon($node, 'postgres', $made, 14, 'and is in nobody else\'s way');
works('with a table in its place');
is(sql("SELECT count(*) FROM workflow_data.visit_history_$week"), 0, 'nothing gets into it');
sql("DROP TABLE workflow_data.visit_history_$week");
upkeep();
is_soon($node, 'postgres', $made, 15, 'until it is away');
is_soon($node, 'postgres', $strays, 0, 'strays are brought home');
sql("ALTER TABLE workflow_data.visit_history DETACH PARTITION workflow_data.visit_history_$week");
works('with one that was detached');
is_soon($node, 'postgres', $error, "partitions of the history cannot be made: the table workflow_data.visit_history_$week, which is to be a partition of the history, is not attached to it", 'one that was detached is told of');
sql("INSERT INTO workflow_data.visit_stray SELECT * FROM workflow_data.visit_history_$week; DROP TABLE workflow_data.visit_history_$week");
upkeep();
is_soon($node, 'postgres', $strays, 0, 'and strays that are put there by hand find home');

# ---- retention, while nothing may be made or dropped ----

on_ddl('ddl_command_start', q[BEGIN RAISE EXCEPTION 'no tables'; END], q[WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')]);
use_up();
sql("SELECT workflow.define('short', '{\"retention\": \"1 day\", \"steps\": [{\"step\": \"a\", \"wait\": true}]}'); SELECT workflow.define('long', '{\"retention\": \"0\", \"steps\": [{\"step\": \"a\", \"wait\": true}]}');
	SELECT workflow.define('two', '{\"steps\": [{\"step\": \"a\", \"set\": {\"a\": 1}}, {\"step\": \"b\", \"wait\": true}]}')");
my %kept = map { $_ => sql("SELECT workflow.start('$_')") } qw(approve short long two);
sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process IN ('approve', 'short', 'long')");
my $young = sql("SELECT workflow.start('pure')");
sql("SELECT workflow.complete(serial_number) FROM workflow.history WHERE instance IN (" . join(',', values %kept) . ')');
my $all = join(',', values %kept);
# looked at in the same transaction, since upkeep that has failed is tried again at any moment
is(sql("BEGIN; UPDATE workflow_data.visit_stray SET stored_at = stored_at - interval '200 days' WHERE instance IN ($all);
	UPDATE workflow_data.instance_stray SET stored_at = stored_at - interval '200 days', ended_at = ended_at - interval '200 days' WHERE instance IN ($all);
	SELECT string_agg(process, ' ' ORDER BY process) FROM workflow.late_callbacks JOIN workflow.history USING (serial_number, instance, process) WHERE instance IN ($all); COMMIT"),
	'approve long short two', 'strays are old');
upkeep();
is_soon($node, 'postgres', "SELECT string_agg(process, ' ' ORDER BY process) FROM workflow.history WHERE instance IN ($all)", 'long two', 'those past retention go');
is_soon($node, 'postgres', "SELECT string_agg(process, ' ' ORDER BY process) FROM workflow.instances WHERE instance IN ($all)", 'long two', 'with their instances');
is_soon($node, 'postgres', "SELECT string_agg(process, ' ' ORDER BY process) FROM workflow.late_callbacks JOIN workflow.history USING (serial_number, instance, process) WHERE instance IN ($all)", 'long two', 'with what came late');
is(sql('SELECT count(*) FROM workflow.late_callbacks l WHERE NOT EXISTS (SELECT FROM workflow.history h WHERE h.serial_number = l.serial_number)'), 0, 'and nothing else');
is(sql("SELECT count(*) FROM workflow.history WHERE instance = $young"), 2, 'what is young stays');
sql('DROP EVENT TRIGGER policy');
upkeep();
is_soon($node, 'postgres', $strays, 0, 'strays of former weeks find home, too');
is_soon($node, 'postgres', "SELECT string_agg(process, ' ' ORDER BY process) FROM workflow.history WHERE instance IN ($all)", 'long two', 'and are kept');
is_soon($node, 'postgres', $made, 15, 'without partitions of those weeks');

is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'there are no incidents at all');
is(count_in_log($node, qr/PANIC|terminated by signal/), 0, 'nobody has died');
$listener->quit;
$node->stop;
done_testing();

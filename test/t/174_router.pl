#
# The router over three shards, one of them on a server of its own: each call goes where it belongs, errors are those of the shard, roles are
# passed on, and a shard that does not answer hides nothing of the others.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $near = new_server('near', extension => 0, conf => "max_connections = 60\nmax_worker_processes = 24\n");
plan skip_all => 'PL/Proxy is not there' if $near->safe_psql('postgres', "SELECT count(*) FROM pg_available_extensions WHERE name = 'plproxy'") eq '0';
my $far = new_server('far', extension => 0);
my %at = (s0 => $near, s1 => $near, s2 => $far);
$_->safe_psql('postgres', 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN') for $near, $far;
$near->safe_psql('postgres', 'CREATE ROLE carol LOGIN');
$at{$_}->safe_psql('postgres', "CREATE DATABASE $_") for sort keys %at;
for my $n (0 .. 2)
{
	add_extension($at{"s$n"}, "s$n");
	$at{"s$n"}->safe_psql("s$n", "SELECT workflow.set_shard($n); GRANT USAGE ON SCHEMA workflow TO PUBLIC;"
		. 'GRANT EXECUTE ON FUNCTION workflow.define, workflow.grant_process, workflow.undefine TO alice');
}
$near->safe_psql('postgres', 'CREATE DATABASE router');
$near->safe_psql('router', 'CREATE EXTENSION workflow_router CASCADE; GRANT USAGE ON SCHEMA workflow TO PUBLIC');
sub connect_to { my ($name) = @_; return 'host=' . $at{$name}->host . ' port=' . $at{$name}->port . " dbname=$name" }
sub r { return $near->safe_psql('router', $_[0]) }

# what psql says of an error, with its SQLSTATE
sub error_of
{
	my ($node, $database, $sql) = @_;
	my (undef, undef, $stderr) = $node->psql($database, "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT never\n$sql");
	$stderr =~ s/^psql:[^:]*:\d+: //mg;
	return $stderr =~ s/^(LOCATION|LINE \d+|\s+\^).*\n?//mgr;
}
sub refuses
{
	my ($sql, $state, $like, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(error_of($near, 'router', $sql), qr/^ERROR:  $state: .*$like/s, $name);
}

# ---- the list of shards ----

refuses("SELECT workflow.start('order')", '55000', 'no shard takes new instances', 'without shards nothing starts');
refuses("SELECT workflow.complete('1024_1')", '55000', 'this router has no shards', '... and nothing is found');
is(r('SELECT count(*) FROM workflow.instances'), 0, '... or to be seen');
refuses("SELECT workflow_router.add_shard(0, 'dbname=s0 user=x')", '22023', 'without user and password', 'roles are no part of it');
refuses("SELECT workflow_router.add_shard(0, 'host=127.0.0.1 port=1 dbname=s0')", '08001', 'shard 0 does not answer', 'a shard must be there');
refuses("SELECT workflow_router.add_shard(1, '" . connect_to('s0') . "')", '55000', 'that database is shard 0, not 1', '... as itself');
refuses("SELECT workflow_router.add_shard(1, 'host=" . $near->host . ' port=' . $near->port . " dbname=postgres')", '55000', 'no extension workflow', '... with the extension');
is(r('SELECT count(*) FROM workflow.shards'), 0, 'none of these is kept');
r("SELECT workflow_router.add_shard($_, '" . connect_to("s$_") . "')") for 0 .. 2;
refuses("SELECT workflow_router.add_shard(2, 'dbname=other')", '42710', 'there is a shard 2 already', 'a number is used once');
refuses("SELECT workflow_router.add_shard(1024, 'dbname=other')", '22023', 'there is no shard 1024', '... and in range');
refuses('SELECT workflow_router.set_weight(0, -1)', '22023', 'cannot have the weight -1', 'so are weights');
is(r('SELECT count(*) FROM workflow_router.former'), 0, 'as long as nothing lives, keys have one home');

# ---- the same face ----

my $made = "$FindBin::Bin/../../src/router";
my ($status, $face, $complaint) = (0, '', '');
run_log([ 'psql', '-XAtq', '-d', $near->connstr('s0'), '-f', "$made/generate.sql" ], '>', \$face, '2>', \$complaint);
is($complaint, '', 'the functions are made');
# what is said of them may be older
my $bare = sub { return $_[0] =~ s/^COMMENT ON (?:FUNCTION|PROCEDURE|VIEW|COLUMN) \S.*? IS '(?:[^']|'')*';\n//mgr };
ok($bare->($face) eq $bare->(slurp_file("$made/50_face.sql")), 'src/router/50_face.sql is what src/router/generate.sql makes of the extension: else run test/face');
my $signatures = q[SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prokind FROM pg_proc p WHERE p.pronamespace = 'workflow'::regnamespace ORDER BY 1, 2];
is(r($signatures), $near->safe_psql('s0', $signatures), 'a router has the functions of the extension, with their arguments');
my $columns = q[SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v' AND c.relname <> 'shards' AND a.attname <> 'shard' ORDER BY c.relname, a.attnum];
is(r($columns), $near->safe_psql('s0', $columns), '... and its views with their columns');
is(r(q[SELECT string_agg(pg_describe_object(d.classid, d.objid, 0), ', ') FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'workflow_router' AND d.deptype = 'e' AND d.classid <> 'pg_type'::regclass
	AND NOT EXISTS (SELECT FROM pg_description s WHERE s.classoid = d.classid AND s.objoid = d.objid AND s.objsubid = 0)]), '', 'each has a comment');

# ---- definitions, rights, roles ----

my $order = q['{"steps": [{"step": "approve", "wait": true}, {"step": "told", "wait": {"message": "paid", "key": "${$.key}"}}]}'];
is(r("SET ROLE alice; SELECT workflow.define('order', $order)"), 1, 'a process is defined');
is(r("SELECT string_agg(shard || owner::text, ' ' ORDER BY shard) FROM workflow.processes WHERE process = 'order'"), '0alice 1alice 2alice', '... in all shards, by who has called');
is(r("SET ROLE alice; SELECT workflow.grant_process('order', 'bob', 'start') AND workflow.grant_process('order', 'bob', 'complete') AND workflow.grant_process('order', 'bob', 'view')"),
	't', 'privileges are given');
refuses("SET ROLE carol; SELECT workflow.start('order', business_key => 'at ' || n) FROM generate_series(1, 20) n", '(42501|42704|08001)', '', 'who has none has none');
refuses("SET ROLE bob; SELECT workflow.define('order', $order)", '42501', 'permission denied for function', 'who is no author is none');
refuses("SET ROLE alice; SELECT workflow.grant_process('order', 'carol', 'view')", '42704', 'It was done in 0, 1, and not in 2', 'a role that one shard does not have is told, with who has the grant');
$far->safe_psql('postgres', 'CREATE ROLE carol LOGIN');
is(r("SELECT shard, problem FROM workflow_router.verify()"), '2|privilege "view" of "carol" on process "order" is missing, which shard 0 has', '... by verify, too');
is(r('SELECT shard, given, error FROM workflow_router.repair()'), '2|privilege "view" of "carol" on process "order"|', '... and mended');
is(r('SELECT count(*) FROM workflow_router.verify()'), 0, '... so that all is well');
is(r("SET ROLE alice; SELECT workflow.define('order', $order)"), 1, 'the same definition is the same version');

# ---- instances ----

is(r("SET ROLE bob; SELECT count(DISTINCT workflow.start('order') & 1023) FROM generate_series(1, 60)"), 3, 'without a key instances start anywhere');
is(r("SELECT count(*) FROM (SELECT workflow.start('order', jsonb_build_object('key', n), business_key => n) & 1023 AS shard, workflow_router.home(n::text) AS home FROM generate_series(1, 60) n) s WHERE shard <> home"),
	0, 'with one, at its home');
cmp_ok(r("SELECT min(count) FROM (SELECT count(*) FROM generate_series(1, 3000) n GROUP BY workflow_router.home(n::text)) c"), '>', 850, '... which are shared out evenly');
refuses("SELECT workflow.start('order', business_key => 17)", '23505', 'a living instance with business key "17"', '... once');
is(r("SELECT workflow.instance_of_key('order', 17) & 1023 = workflow_router.home('17')"), 't', '... and it is found there');
for my $key ("date '2026-12-24'", "timestamptz '2026-12-24 12:00+02'", "timestamp '2026-12-24 12:00'", "'x'::text", '1.50', "'a'::char(5)", "interval '1 day 2 h'", "'\\x01ff'::bytea", 'true', "time '12:00'", "1e10::float8")
{
	r("SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SELECT workflow.start('order', business_key => $key)");
	my $home = r("SELECT workflow_router.home(workflow_router.key_text($key))");
	is($at{"s$home"}->safe_psql("s$home", "SELECT workflow.instance_of_key('order', $key) IS NOT NULL"), 't', "$key is kept as workflow.start keeps it");
	is(r("SET timezone = 'America/Lima'; SELECT workflow.cancel(workflow.instance_of_key('order', $key))"), 't', '... under whatever settings');
}
is(r('SELECT count(*), count(DISTINCT serial_number) FROM workflow.waiting'), '120|120', 'all are seen');
is(r('SELECT sum(value) FROM workflow.metrics WHERE name = \'instances\' AND labels ->> \'status\' = \'active\''), 120, '... and counted');
is(r('SELECT bool_and(shard = instance & 1023) FROM workflow.instances'), 't', '... with their shards');
is(r('SET ROLE carol; SELECT count(*) FROM workflow.instances'), 131, '... by who may see them');
my ($serial) = split /\n/, r("SELECT serial_number FROM workflow_router.waiting(process => 'order') ORDER BY 1");
is(r("SELECT count(*) FROM workflow_router.waiting(serial_number => '$serial')"), 1, 'rows are picked where they are');
my ($instance) = $serial =~ /^(\d+)/;
is(r("SELECT workflow.suspend($instance), workflow.resume($instance), workflow.set_data($instance, '{\"key\": \"k\"}'), workflow.cancel($instance, 'no')"), 't|t|t|t', 'an instance is found by its number');
like(r("SELECT string_agg(t, ' ') FROM workflow.timeline($instance) t"), qr/aborted/, '... and tells its story');
is(r("SELECT workflow.rerun($instance) & 1023 = $instance & 1023"), 't', '... and begins once more, in its shard');
is(r("SELECT workflow.suspend_process('order'), workflow.resume_process('order')"), '120|120', 'all of a process');
my $token = r("SELECT workflow.instance_token($instance)");
is(r("SELECT instance FROM workflow.instance_of_token('$token')"), $instance, 'a token leads to its shard');

# ---- callbacks ----

my @serials = split /\n/, r("SELECT w.serial_number FROM workflow.waiting w JOIN workflow.instances i USING (instance) WHERE i.business_key IS NOT NULL ORDER BY i.business_key::int");
is(r("SET ROLE bob; SELECT workflow.complete('$serials[0]')"), 't', 'a callback comes to its shard');
is(r("SET ROLE bob; SELECT workflow.complete('$serials[0]')"), 'f', '... once');
my $many = join ', ', map { qq({"serial_number": "$_"}) } @serials[ 1 .. 49 ];
is(r("SELECT count(*) FILTER (WHERE accepted), count(*), string_agg(serial_number, ' ') = '@serials[1 .. 49]' FROM workflow.complete_many('[$many]')"), '49|49|t', 'many come to theirs, with verdicts in their order');
is(r(q[SELECT string_agg(coalesce(error_code, '-'), ' ') FROM workflow.complete_many('[{"serial_number": "7_7"}, 5, {"serial_number": "x"}, {"serial_number": "1024_999"}]')]),
	'42704 22023 22P02 42704', '... for what is none, too');
is(r("SELECT workflow.send_message('paid', 1), workflow.send_message('paid', 2), workflow.send_message('paid', 99)"), 'delivered|delivered|missed', 'messages come by their keys');
is(r("SELECT workflow.send_message('paid', to_all => true), count(*) FROM workflow.instances WHERE business_key = '3' AND ended_at IS NULL"), 'missed|1', '... to all that wait for that one');
like(r("SELECT workflow.send_message('paid', 3, instance => workflow.instance_of_key('order', 3)), workflow.send_message('paid', 4, to_all => true)"), qr/^delivered\|(delivered|queued)$/, '... by their instance, to all');
refuses("SELECT workflow.send_message('paid')", '0A000', 'could be waited for in any shard', 'a message to nobody in particular is refused');
is_soon($near, 'router', "SELECT count(*) FROM workflow.instances WHERE status = 'completed'", 4, 'those have come to their end');

# the same errors, word for word
for my $call ("workflow.complete('x')", "workflow.complete(NULL)", "workflow.cancel(NULL)", "workflow.complete('" . ($instance + 1024 * 1000) . "_1')", "workflow.start('nothing', business_key => '1')", "workflow.start('order', '[]', '1x')",
	"workflow.retry('$serials[55]')", "workflow.define('x', '{}')", "workflow.callback('nonsense')", "workflow.undefine('order')", "workflow.extend('$serials[55]', '1 h')", "workflow.timeline(1024 * 1000000 + ($instance & 1023))")
{
	my $shard = $call =~ /'1x?'\)/ ? r("SELECT workflow_router.home('" . ($call =~ /1x/ ? '1x' : '1') . "')") : $call =~ /$serials[55]/ ? (split /_/, $serials[55])[0] & 1023 : $instance & 1023;
	$shard = 0 if $call =~ /undefine/;
	is(error_of($near, 'router', "SELECT $call"), error_of($at{"s$shard"}, "s$shard", "SELECT $call"), "$call: the error of the shard");
}
refuses("SELECT workflow.complete('7_1')", '42704', 'is that of shard 7, which this router does not know', 'a shard that is not known');
refuses("SELECT workflow.$_", '0A000', 'is not for a router', "$_ is refused") for "attach('pg_class', 'order')", 'adopt()', 'now()', 'withdraw_message(1)', 'diagram(\'order\', live => true)';
refuses('CALL workflow.wait_for(1)', '0A000', 'is not for a router', '... and wait_for');
like(r("SELECT workflow.diagram('order')"), qr/flowchart/, 'a process is drawn by any of them');

# ---- work ----

r(q[SELECT workflow.define('work', '{"steps": [{"step": "do", "wait": {"topic": "work"}}]}')]);
r("SELECT workflow.start('work') FROM generate_series(1, 30)");
is(r("SELECT count(*), count(DISTINCT split_part(serial_number, '_', 1)::bigint & 1023) FROM workflow.fetch('work', 30)"), '30|3', 'work is fetched from several shards');
is(r("SELECT count(*) FROM workflow.fetch('work', 30)"), 0, '... once');

# ---- a shard that does not answer ----

$far->stop;
refuses("SELECT workflow.complete('2050_1')", '08001', 'shard 2 does not answer.*Nothing was done there', 'a shard is dead: it is said');
refuses("SELECT workflow.define('other', $order)", '08001', 'shard 2 does not answer', 'what concerns all is refused');
is($near->safe_psql('s0', "SELECT count(*) FROM workflow.processes WHERE process = 'other'"), 0, '... before anything is done');
my ($stdout, $stderr);
(undef, $stdout, $stderr) = $near->psql('router', 'SELECT count(DISTINCT shard) FROM workflow.instances');
is($stdout, 2, 'the rows of the others are seen');
like($stderr, qr/WARNING:  shard 2 does not answer: what it has is left out/m, '... and a warning tells');
unlike($stderr, qr/stale/, '... and nothing else');
is(r("SELECT shard, kind, state FROM workflow.workers WHERE kind = 'shard'"), '2|shard|does not answer', 'so does the view workers');
is(r("SELECT count(DISTINCT workflow.start('order') & 1023) FROM generate_series(1, 20)"), 2, 'what has no key starts elsewhere');
my ($key) = r("SELECT n FROM generate_series(1000, 1100) n WHERE workflow_router.home(n::text) = 2 LIMIT 1");
refuses("SELECT workflow.start('order', business_key => $key)", '08001', 'shard 2 does not answer', '... with one, not');
is(r(q[SELECT string_agg(error_code || ' ' || error, '; ') FROM workflow.complete_many('[{"serial_number": "2050_1"}, {"serial_number": "1024_999"}]')]),
	'08001 shard 2 does not answer; 42704 serial number 1024_999 does not exist', 'of many, those of the others are carried out');
is(r('SELECT shard, split_part(problem, \':\', 1) FROM workflow_router.verify()'), '2|shard 2 does not answer', 'verify tells, too');
start_again($far);
is(r('SELECT count(DISTINCT shard) FROM workflow.instances'), 3, 'it is back');

# ---- other weights ----

my $living = r("SELECT n FROM generate_series(55, 60) n WHERE workflow_router.home(n::text) = 0 OR n = 60 LIMIT 1");
my $was = r("SELECT workflow_router.home('$living')");
r("SELECT workflow_router.set_weight($was, 0)");
isnt(r("SELECT workflow_router.home('$living')"), $was, 'a shard that takes no more is the home of no key');
refuses("SELECT workflow.start('order', business_key => $living)", '23505', "in shard $was, where instances with that key started before", '... but what lives there is not started twice');
is(r("SELECT workflow.instance_of_key('order', $living) & 1023"), $was, '... and found');
is(r("SELECT count(*) FROM (SELECT workflow.start('order') & 1023 AS s FROM generate_series(1, 20)) s WHERE s = $was"), 0, 'nothing starts there');
r("SELECT workflow.complete(w.serial_number) FROM workflow.waiting w WHERE instance = workflow.instance_of_key('order', $living)");
is(r("SELECT workflow.send_message('paid', $living)"), 'delivered', 'a message to what lives there comes');
cmp_ok(r("SELECT workflow.start('order', business_key => $living)"), '>', 0, '... and then the key is free');
refuses("SELECT workflow_router.remove_shard($was)", '55006', "instances live in shard $was", 'a shard with instances stays');
r("SELECT workflow_router.set_weight($was, 2)");
cmp_ok(r("SELECT count(*) FROM generate_series(1, 4000) n WHERE workflow_router.home('w' || n) = $was"), '>', 1800, 'a weight of two is twice as many');
refuses('SELECT workflow_router.forget_former()', '55006', 'instances live in former homes of their keys', 'former homes are not forgotten while keys live there');
$far->stop;
refuses('SELECT workflow_router.forget_former()', '08001', 'a shard does not answer', '... nor while one does not answer');
start_again($far);
is(r('SELECT workflow_router.forget_former(force => true)'), 2, '... unless it is forced');
is(r('SELECT workflow_router.forget_former()'), 0, 'then there are none');

# ---- a router is made again of its dump ----

$near->command_ok([ 'pg_dump', '-Fc', '-f', $near->basedir . '/router.dump', $near->connstr('router') ], 'a router is dumped');
$near->safe_psql('postgres', 'CREATE DATABASE again');
$near->command_ok([ 'pg_restore', '--exit-on-error', '-d', $near->connstr('again'), $near->basedir . '/router.dump' ], '... and restored');
is($near->safe_psql('again', 'SELECT count(*) FROM workflow.instances'), r('SELECT count(*) FROM workflow.instances'), '... and is as the other');

like(error_of($near, 's0', 'CREATE EXTENSION workflow_router CASCADE'), qr/^ERROR:  55000: there is a schema workflow/m, 'a database with the extension is no router');

done_testing();

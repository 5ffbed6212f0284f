#
# The whole server dies with requests in flight and SQL running: each request goes out again under the same key, no SQL
# effect is lost or comes twice, no serial number is issued twice.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('crash', conf => "workflow.executors = 3\nwal_writer_delay = 10s\n");
my $partner = Partner->start(psql => $node->connstr('postgres'));
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text, value text);
	-- as slow as somebody else wants it to be
	CREATE FUNCTION work(sn text, value text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO effect VALUES (sn, value);
		PERFORM pg_advisory_xact_lock_shared(42);
	END $$;
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/hang", "body": {"sn": "${$serial_number}"}},
		 "save_reply": {"reply": "${$reply.status}"}, "next": "note"},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number, visit.data->>''reply'')"}]}');
	SELECT workflow.define('work', '{"steps": [
		{"step": "work", "sql": "SELECT work(visit.serial_number, visit.data->>''n'')"},
		{"step": "again", "sql": "SELECT work(visit.serial_number, visit.data->>''n'')", "wait": true}]}');
	SELECT workflow.define('stand', '{"steps": [{"step": "stand", "wait": true}]}');
]);

# ---- requests in flight, SQL steps running and due ----

my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(42)');
$node->safe_psql('postgres',
	"SELECT workflow.start('call') FROM generate_series(1, 20); SELECT workflow.start('work', jsonb_build_object('n', n)) FROM generate_series(1, 20) n");
my $first = keys_by_serial($partner->wait_for(20, '/hang'));
is(scalar(keys %$first), 20, 'twenty requests are in flight');
is_soon($node, 'postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 3, 'all executors are at work');
is($node->safe_psql('postgres', 'SELECT count(*) FROM effect'), 0, 'and have committed nothing');

crash($node);
eval { $gate->quit };
start_again($node);
my $second = keys_by_serial($partner->wait_for(40, '/hang'));
is_deeply($second, { map { $_ => { map { $_ => 2 } keys %{ $first->{$_} } } } keys %$first },
	'each request goes out again under the same key');
is_soon($node, 'postgres', 'SELECT count(*) FROM effect', 40, 'the SQL steps are done');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT sn), count(DISTINCT value), count(*) FROM effect'), '40|20|40', 'each of them once');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'again'", 20, 'and what they wait for is open');

# ---- in flight again; now they are answered ----

$node->safe_psql('postgres', "ALTER SERVER partner OPTIONS (SET url '" . $partner->url('/status/200') . "')");
crash($node);
start_again($node);
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.instances WHERE process = 'call' AND status = 'completed'", 20, 'at last they are answered');
my $third = keys_by_serial($partner->requests);
is_deeply($third, { map { $_ => { map { $_ => 3 } keys %{ $first->{$_} } } } keys %$first }, 'still under the same keys');
is($node->safe_psql('postgres', "SELECT count(DISTINCT sn), count(*) FROM effect WHERE value = '200'"), '20|20', 'the step after the request is done once');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.incidents"), 0, 'no incident');

# ---- serial numbers that somebody has seen, committed without waiting for the disk ----

my %seen;
for my $round (1 .. 3)
{
	my @serials = split /\n/,
	  $node->safe_psql('postgres', "SET synchronous_commit = off; SELECT workflow.start('stand') FROM generate_series(1, 50);"
		  . "SELECT serial_number FROM workflow.waiting WHERE step = 'stand' ORDER BY serial_number");
	@serials = grep { /_/ } @serials;
	$seen{$_}++ for @serials;
	crash($node);
	start_again($node);
	is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'stand'"), 50 * $round, "round $round: none is lost");
}
is(scalar(keys %seen), 150, 'all are different');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.waiting w1 JOIN workflow.history h USING (serial_number)"), 0, 'none had been used before');
is($node->safe_psql('postgres', "SELECT bool_and(workflow.complete(serial_number)) FROM workflow.waiting"), 't', 'and each can be completed');

# numbers that were drawn and rolled back, or ended at once, do not come back as somebody else's
$node->safe_psql('postgres', "SELECT workflow.define('short', '{\"steps\": [{\"step\": \"short\", \"set\": {\"a\": 1}}]}')");
my $last = $node->safe_psql('postgres', "SET synchronous_commit = off; BEGIN; SELECT workflow.start('stand'); ROLLBACK; SELECT max(workflow.start('stand')) FROM generate_series(1, 10)");
crash($node);
start_again($node);
my ($rolled_back, $kept) = split /\n/, $last;
cmp_ok($node->safe_psql('postgres', "SELECT workflow.start('stand')"), '>', $kept, 'numbers go on after the last one that was kept');

$node->stop;
done_testing();

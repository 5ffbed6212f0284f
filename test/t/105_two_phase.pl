#
# Prepared transactions: what they did is done when they are committed, by whomever and after whatever, and what arrives
# meanwhile for an instance that they hold is kept.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $node = new_server('two_phase', conf => "max_prepared_transactions = 10\n");
my $partner = Partner->start;
add_http_server($node, $partner);
$node->safe_psql(
	'postgres', q[
	CREATE TABLE effect (sn text);
	CREATE TABLE orders (id int PRIMARY KEY, sn text);
	SELECT workflow.define('call', '{"steps": [
		{"step": "call", "http": {"server": "partner", "path": "/${$.do}", "query": {"s": "0.5"}, "body": {"sn": "${$serial_number}"}},
		 "save_reply": {"replied": "${$reply.status}"}, "wait": {"callback": true, "when": "$.wait == true"}},
		{"step": "note", "sql": "INSERT INTO effect VALUES (visit.serial_number)"}]}');
	SELECT workflow.define('clock', '{"steps": [{"step": "clock", "wait": {"after": "${$.after}"}, "timeout": "${$.timeout}"}]}');
	SELECT workflow.attach('orders', 'call', serial_column => 'sn');
]);
sub sql { return $node->safe_psql('postgres', shift) }

# Ends a prepared transaction; the workers hear of it at once, not at the next look.
sub end_prepared
{
	my ($sql, $check, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql($sql);
	my $begin = time();
	is_soon($node, 'postgres', $check, $expected, $name);
	my $took = time() - $begin;
	cmp_ok($took, '<', 5, sprintf('... after %.2f s', $took));
}

my $done = "SELECT count(*) FROM workflow.instances WHERE status = 'completed'";

# ---- start ----

sql("BEGIN; SELECT workflow.start('call', '{\"do\": \"echo\"}') FROM generate_series(1, 3); PREPARE TRANSACTION 'a'");
sql("BEGIN; SELECT workflow.start('call', '{\"do\": \"echo\"}'); INSERT INTO orders VALUES (1); PREPARE TRANSACTION 'b'");
stays(1, sub { scalar(() = $partner->requests) . sql($done) }, '00', 'prepared: nothing is sent');
sql("ROLLBACK PREPARED 'b'");
end_prepared("COMMIT PREPARED 'a'", $done, 3, 'committed: it goes on');
is(scalar(() = $partner->requests), 3, 'rolled back: it never happened');
is(sql('SELECT count(*) FROM workflow.instances'), 3, 'there are no others');

# ---- complete ----

my ($first, $second) = map { sql("SELECT workflow.start('call', '{\"do\": \"echo\", \"wait\": true}')") } 1, 2;
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.waiting', 2, 'two wait');
my %sn = split /[|\n]/, sql('SELECT instance, serial_number FROM workflow.waiting');
sql("BEGIN; SELECT workflow.complete('$sn{$first}'); PREPARE TRANSACTION 'a'");
sql("BEGIN; SELECT workflow.complete('$sn{$second}'); PREPARE TRANSACTION 'b'");
my $waiter = $node->background_psql('postgres', on_error_stop => 0);
$waiter->query_until(qr/waiting/, "\\echo waiting\nCALL workflow.wait_for($first, '60 s');\n\\echo woken\n");
stays(0.5, sub { sql($done) }, 3, 'prepared: nothing goes on');
my (undef, undef, $stderr) = $node->psql('postgres', "SET lock_timeout = '100ms'; SELECT workflow.complete('$sn{$first}')");
like($stderr, qr/lock timeout/, 'another completion waits for it');
sql("ROLLBACK PREPARED 'b'");
end_prepared("COMMIT PREPARED 'a'", $done, 4, 'committed: it goes on');
like($waiter->query_until(qr/woken/, "\n"), qr/completed\s+woken/, 'and whoever waits for it is told');
$waiter->quit;
is(sql("SELECT workflow.complete('$sn{$first}')"), 'f', 'it had been accepted');
is(sql("SELECT workflow.complete('$sn{$second}')"), 't', 'the one that was rolled back had not');
is_soon($node, 'postgres', $done, 5, 'and goes on now');

# ---- a reply, a clock and a deadline for instances that a prepared transaction holds, with a crash in between ----

# in one session, so that there is no time for them to come before the lock
my %held;
@held{qw(other reply clock deadline)} = split /\|/, sql(q[
	SELECT workflow.start('call', '{"do": "delay"}') AS other \gset
	SELECT workflow.start('call', '{"do": "delay"}') AS reply \gset
	SELECT workflow.start('clock', '{"after": "0.5 s", "timeout": "1 h"}') AS clock \gset
	SELECT workflow.start('clock', '{"after": "1 h", "timeout": "0.5 s"}') AS deadline \gset
	BEGIN;
	\o /dev/null
	SELECT workflow.set_data(i, '{"mended": true}') FROM unnest(ARRAY[:reply, :clock, :deadline]) i;
	PREPARE TRANSACTION 'held';
	\o
	SELECT :other, :reply, :clock, :deadline;
]);
my $other = delete $held{other};
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $other", 'completed', 'others are not held up');
is_soon($node, 'postgres', "SELECT instance = $held{reply} FROM workflow_data.delivery WHERE kind = 'reply'", 't', 'the reply is kept');
sql('CREATE TABLE flushed ()'); # workers do not wait for the disk: what a crash takes away is only done again
crash($node);
start_again($node);
wait_for_workers($node, 'postgres');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE kind = 'reply'"), 1, 'a crash does not take it away');
is(sql("SELECT count(*) FROM pg_prepared_xacts"), 1, 'nor the lock');
stays(1, sub { sql("SELECT count(*) FROM workflow.visits WHERE instance IN (" . join(',', values %held) . ")") }, 3, 'all of them stand');
end_prepared("COMMIT PREPARED 'held'", "SELECT status FROM workflow.instances WHERE instance = $held{reply}", 'completed', 'committed: the reply is handled');
is(scalar(grep { $_->{body} =~ /"$held{reply}_/ } $partner->requests), 1, 'the request was sent once');
is(sql("SELECT data->>'replied', data->>'mended' FROM workflow.instances WHERE instance = $held{reply}"), '200|true', 'both changes of the data are there');
is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $held{clock}", 'completed', 'the clock has gone off');
is_soon($node, 'postgres', "SELECT outcome FROM workflow.incidents WHERE instance = $held{deadline}", 'TIMED_OUT', 'so has the deadline');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE kind = 'reply'"), 0, 'nothing is left over');

# ---- a SQL step cannot run while somebody holds its instance ----

my $waiting = sql("SELECT workflow.start('call', '{\"do\": \"echo\", \"wait\": true}')");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting", 1, 'waiting');
my $sn = sql('SELECT serial_number FROM workflow.waiting');
sql("BEGIN; SELECT workflow.complete('$sn'); SELECT workflow.set_data($waiting, '{}'); PREPARE TRANSACTION 'c'");
end_prepared("COMMIT PREPARED 'c'", "SELECT status FROM workflow.instances WHERE instance = $waiting", 'completed', 'it runs when that has ended');
is(sql('SELECT count(*), count(DISTINCT sn) FROM effect'), '8|8', 'each SQL step was done once');
is(sql('SELECT count(*) FROM workflow.incidents'), 1, 'no other incident');

$node->stop;
done_testing();

#
# Tasks: who is told that he has one, or has done it, is right after a crash in whichever moment; a role finds its own among many; and in a copy
# they belong to the roles of the same names, once it is adopted.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $node = new_server('tasks', extension => 0, conf => "wal_writer_delay = 10s\nworkflow.careful_after_crash = 0\n");
$node->safe_psql('postgres', 'CREATE DATABASE shop; CREATE ROLE people; CREATE ROLE ann IN ROLE people; CREATE ROLE ben IN ROLE people; CREATE ROLE cid; CREATE ROLE gone');
add_extension($node, 'shop');
sub sql { return $node->safe_psql('shop', $_[0]) }
sql(q[
	GRANT USAGE ON SCHEMA workflow TO people, ben, cid;
	SELECT workflow.define('ask', '{"steps": [{"step": "ask", "wait": {"task": {"title": "t${$.n}", "assignee": "${$.who ?? null}", "roles": "${$.roles ?? null}"}}, "save": {"by": "${$event.role}"}}, {"step": "end", "wait": {"after": "1 ms"}}]}');
]);

# ---- the server is killed while tasks come, are claimed and done ----

my $N = 400;
sql("SET synchronous_commit = off; SELECT count(workflow.start('ask', jsonb_build_object('n', n, 'roles', 'people'))) FROM generate_series(1, $N) n; CHECKPOINT");
my (%claimed, %done);
my $file = $node->basedir . '/work.sql';
for my $round (1 .. 4)
{
	# each call in a transaction of its own, until the server dies; the answers are right although the client does not ask for them to be durable
	my @numbers = split /\n/, sql("SELECT serial_number FROM workflow.tasks WHERE assignee IS NULL ORDER BY since, serial_number");
	my $who = $round % 2 ? 'ann' : 'ben';
	open my $script, '>', $file or die $!;
	print $script "SET synchronous_commit = off;\nSET ROLE $who;\n", map {; "SELECT '$_', workflow.claim('$_');\n", /[02468]$/ ? "SELECT '$_', workflow.complete('$_', '1'), 'done';\n" : () } @numbers;
	close $script;
	my $told = '';
	my $client = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-f', $file ], '<', \undef, '>', \$told, '2>', \my $errors);
	wait_until(sub { $client->pump_nb; ($told =~ tr/\n//) > 20 }, "some are told, round $round");
	crash($node);
	$client->finish;
	for (split /\n/, $told)
	{
		my ($number, $answer, $done) = split /\|/;
		$claimed{$number} = $who if $answer eq 't';
		$done{$number} = 1 if $done;
	}
	start_again($node);
	is(sql('SELECT count(*) FROM workflow.tasks WHERE assignee IS NULL AND serial_number IN (' . join(',', map { "'$_'" } grep { !$done{$_} } keys %claimed) . ')'), 0, "no claim is lost");
	is(sql('SELECT count(*) FROM workflow.tasks WHERE serial_number IN (' . join(',', map { "'$_'" } keys %done) . ')'), 0, '... nor what was done');
}
cmp_ok(keys %claimed, '<', $N, 'not all were claimed');
my $ended = sql("SELECT count(*) FROM workflow.history WHERE step = 'ask' AND completed_by IN ('ann', 'ben')");
# at the end of each round one may have been done, and nobody told
cmp_ok($ended - keys %done, '<=', 4, 'each was done once');
cmp_ok($ended, '>=', scalar keys %done, '... all of them');
is(sql('SELECT count(*) FROM workflow.tasks'), $N - $ended, 'and the others are there');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

# ---- a role finds its own among many ----

sql("SET synchronous_commit = off; SELECT count(workflow.start('ask', jsonb_build_object('n', n, 'who', 'ben'))) FROM generate_series(1, 10000) n; SELECT workflow.start('ask', '{\"n\": 0, \"who\": \"cid\"}'); ANALYZE workflow_data.task");
my $plan = sql("SET ROLE cid; EXPLAIN (COSTS off) SELECT title FROM workflow.tasks");
like($plan, qr/task_roles/, 'by an index');
my $read = sql("SET ROLE cid; EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT title FROM workflow.tasks");
is((grep { /on task/ && !/rows=[01](?:\.00)? / && !/never executed/ } split /\n/, $read), 0, '... and nothing else is read') or diag($read);
is(sql("SET ROLE cid; SELECT title, assignee FROM workflow.tasks"), 't0|cid', 'what is found');

# ---- copies ----

sql("SELECT workflow.cancel(instance) FROM workflow.tasks WHERE assignee = 'ben' AND claimed_at IS NULL OR assignee IS NULL");
sql("SELECT workflow.start('ask', '{\"n\": \"gone\", \"who\": \"gone\", \"roles\": [\"gone\", \"people\"]}'); SELECT workflow.start('ask', '{\"n\": \"free\", \"roles\": [\"gone\", \"people\"]}')");
my $mine = "SELECT title, assignee, roles FROM workflow.tasks WHERE title IN ('t0', 'tgone', 'tfree') ORDER BY title";
my $before = sql($mine);
my $dump = $node->basedir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ], 'pg_dump');
my $other = new_server('other', extension => 0);
# ben has the number that people had
$other->safe_psql('postgres', 'CREATE ROLE ben; CREATE ROLE cid; CREATE ROLE people; CREATE ROLE ann IN ROLE people; CREATE DATABASE shop');
$other->command_ok([ 'pg_restore', '-d', $other->connstr('shop'), $dump ], 'pg_restore');
sub shop { return $other->safe_psql('shop', $_[0]) }
is(shop($mine), $before, 'the copy is whole');
is(shop("SET ROLE ben; SELECT count(*) FROM workflow.tasks"), 0, '... and shows no role what belongs to another one with its number');
shop('SELECT workflow.adopt()');
is(shop($mine), $before, 'adopted: the same');
is(shop("SET ROLE cid; SELECT title FROM workflow.tasks"), 't0', '... to the role of that name');
is(shop("SET ROLE ann; SELECT workflow.claim(serial_number) FROM workflow.tasks WHERE title = 'tfree'"), 't', '... which has its rights');
is(shop("SET ROLE ben; SELECT count(*) FROM workflow.tasks WHERE title IN ('tfree', 'tgone')"), 0, '... and nobody else');
is(shop("SELECT workflow.unclaim(serial_number) FROM workflow.tasks WHERE title = 'tgone'"), 't', 'a task of a role that is not there goes back to the others');
is(shop("SET ROLE ann; SELECT workflow.complete(serial_number) FROM workflow.tasks WHERE title = 'tgone'"), 't', '... who do it');
is(shop('SELECT count(*) FROM workflow.verify()'), 0, 'the rows agree');

$node->stop;
$other->stop;
done_testing();

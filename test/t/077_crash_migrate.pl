#
# The server dies while all instances of a version are migrated, in the middle of that, and just after: either all of them are taken, or
# none; nothing is lost or half done, and what was completed meanwhile stays so.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use WorkflowTest;

my $many = $ENV{WF_MANY} // 3000; # of each kind; several chunks of 500
my $node = new_server('migrate', conf => "synchronous_commit = off\nwal_writer_delay = 10s\n");
sub sql { return $node->safe_psql('postgres', $_[0]) }

# a fork with a join that the first to come passes, a sub-process with fields, events
my $old = <<'EOF_JSON';
{"steps": [
	{"step": "f", "next": ["a", "s"]},
	{"step": "a", "wait": true, "timeout": "5 days", "next": "k"},
	{"step": "s", "local": {"n": 1}, "next": "k", "steps": [
		{"step": "events", "first_of": [{"message": "go", "key": "${$.i}", "next": "inside"}, {"after": "10 days", "next": "inside"}],
			"catch": [{"signal": "s", "interrupt": false, "next": "inside"}]},
		{"step": "inside", "wait": true}]},
	{"step": "k", "join": "any", "wait": true, "end": true}]}
EOF_JSON
# the process becomes a scope, a step and two clocks are others, and the entries of a step have other places
my $new = <<'EOF_JSON';
{"timeout": "30 days", "steps": [
	{"step": "f", "next": ["b", "s"]},
	{"step": "b", "wait": true, "timeout": "6 days", "next": "k"},
	{"step": "s", "local": {"n": 1, "m": 2}, "next": "k", "steps": [
		{"step": "events", "first_of": [{"after": "20 days", "next": "inside"}, {"message": "go", "key": "${$.i}", "next": "inside"}],
			"catch": [{"signal": "s", "interrupt": false, "next": "inside"}]},
		{"step": "inside", "wait": true}]},
	{"step": "k", "join": "any", "wait": true, "end": true}]}
EOF_JSON

sql("SELECT workflow.define('p', '$old')");
sql("SELECT workflow.define('p', '$new')");
sql("SELECT count(workflow.start('p', jsonb_build_object('i', i), version => 1)) FROM generate_series(1, $many) i");
my $migrate = q[SELECT count(*) FROM workflow.migrate('p', 1, 2, '{"a": "b"}')];

# All that says where instances are, but for those that somebody has completed meanwhile: they are all alike.
sub picture
{
	return sql(q[SELECT DISTINCT version, tokens, joins[2:], (SELECT string_agg(concat_ws(' ', step, state, waits_for, deadline - entered_at, due_at - waiting_since, local, tokens), ', ' ORDER BY step) FROM workflow_data.visit v WHERE v.instance = i.instance),
		(SELECT string_agg(concat_ws(' ', s.entry, s.kind, s.step), ', ' ORDER BY s.subscription) FROM workflow_data.subscription s WHERE s.instance = i.instance)
		FROM workflow_data.instance i WHERE NOT EXISTS (SELECT FROM workflow.history h WHERE h.instance = i.instance AND h.step = 'a')]);
}

# An instance behind the first chunks is held, so that the migration stands in the middle of them.
sub in_the_middle
{
	my ($then) = @_;
	my $held = sql("SELECT instance FROM workflow.instances WHERE process = 'p' AND ended_at IS NULL ORDER BY instance OFFSET $many * 2 / 3 LIMIT 1");
	my $holder = Session->new($node, 'postgres');
	$holder->run("BEGIN; SELECT workflow.set_data($held, '{}')");
	my $client = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $migrate ], '>', \my $out, '2>', \my $err);
	wait_until(sub { sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%workflow.migrate%' AND wait_event_type = 'Lock'") == 1 }, 'it is in the middle') or return;
	my $pid = sql("SELECT pid FROM pg_stat_activity WHERE query LIKE '%workflow.migrate%' AND wait_event_type = 'Lock'");
	# what nobody has locked yet goes on meanwhile
	is(sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = (SELECT max(instance) FROM workflow.waiting WHERE step = 'a') AND step = 'a'"), 't', 'a callback behind that counts at once');
	$then->($pid);
	eval { $client->finish };
	eval { $holder->run('ROLLBACK') };
	return;
}

my $before = picture();
is($before =~ tr/\n//, 0, 'all are alike');
for my $who ('client', 'server')
{
	in_the_middle(sub {
		my ($pid) = @_;
		my $offset = -s $node->logfile;
		if ($who eq 'client')
		{
			kill 9, $pid;
			wait_until(sub { log_has($node, qr/all server processes terminated; reinitializing/, $offset) }, 'its session is killed');
			wait_until(sub { eval { sql('SELECT true') } }, 'the server is there again');
		}
		else
		{
			sql('CHECKPOINT'); # what is half done is on disk
			crash($node);
			start_again($node);
		}
	});
	is(sql("SELECT version, count(*) FROM workflow.instances WHERE process = 'p' GROUP BY version"), "1|$many", "$who: none was taken");
	is(sql('SELECT count(*) FROM workflow.verify()'), 0, "$who: all rows agree with each other");
	is(sql("SELECT count(*) FROM workflow.audit WHERE call = 'migrate'"), 0, "$who: nothing is on record");
}
is(picture(), $before, 'nothing of them has changed');
is(sql("SELECT count(*) FROM workflow.history WHERE step = 'a' AND outcome = 'SUCCESS'"), 2, 'but those that were completed meanwhile');

# ---- this time it is through, and the server dies the moment after ----

is(sql($migrate), 0, 'all are migrated: nothing keeps them from that');
crash($node);
start_again($node);
is(sql("SELECT version, count(*) FROM workflow.instances WHERE process = 'p' GROUP BY version"), "2|$many", 'after a crash they still are');
is(sql('SELECT count(*) FROM workflow.verify()'), 0, 'all rows agree with each other');
is(sql("SELECT count(*) FROM workflow.visits WHERE step = 'a'"), 0, 'none is at a step that the version does not have');
is(sql("SELECT count(*), count(DISTINCT instance) FROM workflow.visits WHERE step = '(process)'"), "$many|$many", 'each has the scope that it now needs');
is(picture() =~ tr/\n//, 0, 'all are alike');
is(sql("SELECT arguments->>'instances' FROM workflow.audit WHERE call = 'migrate'"), $many, 'it is on record, once');

# ---- and they go on ----

is(sql("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting WHERE step = 'b'"), $many - 2, 'callbacks go on as the new version says');
# some at once, the others a moment later
is(sql("SELECT count(*) FILTER (WHERE workflow.send_message('go', i::text) IN ('delivered', 'queued')) FROM generate_series(1, $many) i"), $many, 'messages find whom they should');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE step = 'inside'", $many, '... and reach them');
is(sql("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting WHERE step = 'inside'"), $many, 'sub-processes end');
is(sql("SELECT count(*) FILTER (WHERE workflow.complete(serial_number)) FROM workflow.waiting WHERE step = 'k'"), $many, 'one token of each went through the join');
is_soon($node, 'postgres', "SELECT status, count(*) FROM workflow.instances GROUP BY status", "completed|$many", 'all are completed');
is(sql('SELECT count(*) FROM workflow.incidents'), 0, 'no incident');

$node->stop;
done_testing();

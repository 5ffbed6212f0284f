#
# Asynchronous calls with a callback_url while the server is killed between the call, its execution, rest, the request and its answer:
# each is carried out once, each that was committed is told of under one idempotency key, no other one ever.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use JSON::PP ();
use Partner;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $ROUNDS = $ENV{WF_LONG} ? 12 : 4;
my $CALLS = 60; # of each client in a round

my $node = new_server('callback_url_crash', conf => "workflow.executors = 3\n");
my $partner = Partner->start;
my $json = JSON::PP->new;
sub sql { return $node->safe_psql('postgres', $_[0]) }

sql(<<"EOF_SQL");
CREATE SERVER partner FOREIGN DATA WRAPPER workflow_http
    OPTIONS (url '@{[$partner->url]}', allow_private 'true', breaker 'off', retry_max '100', retry_delay '50 ms', timeout '2 s');
SELECT workflow.define('child', '{"steps": [{"step": "sql", "sql": "SELECT pg_sleep(0.01)"}]}'),
    workflow.define('order', '{"steps": [
        {"step": "ask", "http": {"server": "partner", "path": "/delay?s=0.05"}, "keep_reply": false},
        {"step": "call", "call": {"process": "child"}},
        {"step": "wait", "wait": true}]}');
EOF_SQL

# Every fifth is rolled back, and every fifth fails, since its key is taken.
sql("SELECT workflow.start('order', business_key => 'taken')");
my $call = 0;
my $tell = sub {
	my ($client) = @_;
	my $n = ++$call;
	my $to = $partner->url("/delay/$n?s=0.02");
	my $start = "SELECT workflow.start('order', jsonb_build_object('n', $n), business_key => 'k$n', mode => 'async', callback_url => '$to')";
	$client->tell($n % 5 == 0 ? "BEGIN; $start; ROLLBACK" : $n % 5 == 1 ? "BEGIN; $start; SELECT workflow.start('order', business_key => 'k$n'); COMMIT" : $start);
};

for my $round (1 .. $ROUNDS)
{
	my @clients = map { Session->new($node, 'postgres') } 1 .. 3;
	for my $client (@clients)
	{
		$tell->($client) for 1 .. $CALLS;
	}
	my $posted = () = $partner->requests('/delay/');
	wait_until(sub { my $now = () = $partner->requests('/delay/'); $now > $posted + 10 * $round }, "round $round: some were told");
	crash($node);
	start_again($node);
}
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.operations WHERE state = 'pending' OR callback_state IN ('pending', 'sending')", 0, 'all are carried out, and told of');

my %stands = map { my @row = split(/\|/); $row[0] => [ @row[ 1, 2 ] ] }
  split(/\n/, sql("SELECT substring(callback_url, '/delay/([0-9]+)'), state, callback_state FROM workflow.operations"));
my (%keys, %instances);
for my $request ($partner->requests('/delay/'))
{
	my ($n) = $request->{path} =~ m{/delay/(\d+)} or next;
	$keys{$n}{ $request->{headers}{'idempotency-key'} } = 1;
	$instances{$n}{"$request->{headers}{'x-workflow-instance'} $request->{headers}{'x-workflow-status'} " . $json->decode($request->{body})->{n}} = 1;
}
my $done = grep { $_->[0] eq 'done' } values %stands;
cmp_ok($done, '>', 20 * $ROUNDS, 'many were carried out');
cmp_ok(scalar(grep { $_->[0] eq 'failed' } values %stands), '>', 5, 'some have failed');
is_deeply([ grep { $stands{$_}[0] eq 'done' && $stands{$_}[1] ne 'sent' } keys %stands ], [], 'each that was carried out is told of');
is_deeply([ grep { $stands{$_}[0] eq 'done' && !$keys{$_} } keys %stands ], [], 'as who was told knows');
is_deeply([ grep { !$stands{$_} || $stands{$_}[0] ne 'done' } keys %keys ], [], 'nobody is told of what was rolled back or has failed');
is_deeply([ grep { keys %{ $keys{$_} } != 1 } keys %keys ], [], 'each under one key');
is_deeply([ grep { keys %{ $instances{$_} } != 1 || (keys %{ $instances{$_} })[0] !~ / Active $_$/ } keys %instances ], [], 'and of the same');
is(sql("SELECT count(*) - count(DISTINCT data ->> 'n') FROM workflow.instances WHERE process = 'order' AND data ? 'n'"), 0, 'none has started twice');
is(sql('SELECT count(*) FROM workflow_data.instance WHERE asked'), 0, 'nobody asks any more');
is(sql("SELECT count(*) FROM workflow_data.delivery WHERE kind IN ('rest', 'operation')"), 0, 'nothing is left');

done_testing();

#
# A completion that was accepted is the end of its visit, in whichever moment the server dies after it: the request is not
# sent again, nothing else ends the visit. One that was not committed never happened.
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

my $node = new_server('completion', conf => "wal_writer_delay = 10s\n");
my $partner = Partner->start;
add_http_server($node, $partner);
sub define
{
	my ($name, $path) = @_;
	$node->safe_psql('postgres', <<"EOS");
SELECT workflow.define('$name', '{"steps": [
	{"step": "call", "http": {"server": "partner", "path": "$path", "body": {"sn": "\${\$serial_number}"}}, "wait": true,
	 "save_reply": {"reply": "\${\$reply.status}"}, "save": {"said": "\${\$result.response.said}"},
	 "timeout": "1 h", "retry": {"max": 5, "delay": "1 h"}},
	{"step": "after", "sql": "INSERT INTO effect VALUES (visit.data)"}]}')
EOS
}
$node->safe_psql('postgres', 'CREATE TABLE effect (data jsonb)');
define('in_flight', '/hang');
define('in_pause', '/status/503');
define('waiting', '/status/202');

sub start
{
	my ($process, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $instance = $node->safe_psql('postgres', "SELECT workflow.start('$process', '{\"process\": \"$process\"}')");
	is_soon($node, 'postgres', "SELECT state FROM workflow.visits WHERE instance = $instance", $state, "$process: $state");
	my $sn = $node->safe_psql('postgres', "SELECT serial_number FROM workflow.visits WHERE instance = $instance");
	wait_until(sub { 1 == grep { $_->{body} =~ /"$sn"/ } $partner->requests }, 'the request was sent');
	return $sn;
}

# How it ended, with $reply saved first and what the callback brought
sub ended
{
	my ($sn) = @_;
	my ($instance) = $sn =~ /^(\d+)/;
	return $node->safe_psql('postgres',
		"SELECT h.outcome, h.result->'callback_response'->>'said', coalesce(i.data->>'reply', '-'), i.data->>'said' "
		  . "FROM workflow.history h JOIN workflow.instances i USING (instance) "
		  . "WHERE h.serial_number = '$sn' AND i.status = 'completed'");
}

my %sent = (in_flight => 'calling', in_pause => 'retrying', waiting => 'waiting');
my %saved = (in_flight => '-', in_pause => '-', waiting => '202');
my (%sn, %undone);
for my $process (sort keys %sent)
{
	$sn{$process} = start($process, $sent{$process});
	$undone{$process} = start($process, $sent{$process});
}

# completions that are lost with their transactions
my @open = map { $node->background_psql('postgres') } keys %undone;
my $i = 0;
$open[ $i++ ]->query_safe("BEGIN; SELECT workflow.complete('$undone{$_}', '{\"said\": \"never\"}')") for sort keys %undone;

# in whose session the commit waits for no disk: a completion does, all the same
for my $process (sort keys %sent)
{
	is($node->safe_psql('postgres', "SET synchronous_commit = off; SELECT workflow.complete('$sn{$process}', '{\"said\": \"done\"}')"),
		't', "$process: accepted");
}
crash($node);
eval { $_->quit } for @open;
start_again($node);

for my $process (sort keys %sent)
{
	my ($instance) = $sn{$process} =~ /^(\d+)/;
	is_soon($node, 'postgres', "SELECT status FROM workflow.instances WHERE instance = $instance", 'completed', "$process: goes on");
	is(ended($sn{$process}), "SUCCESS|done|$saved{$process}|done", '... ended by its completion');
	is(scalar(grep { $_->{body} =~ /"$sn{$process}"/ } $partner->requests), 1, '... not sent again');
	is($node->safe_psql('postgres', "SELECT workflow.complete('$sn{$process}', '{\"said\": \"too late\"}')"), 'f', '... once and for all');
}
is($node->safe_psql('postgres', "SELECT count(*) FROM effect WHERE data->>'said' = 'done'"), 3, 'the next step is done once for each');
is($node->safe_psql('postgres', "SELECT count(*) FROM workflow.late_callbacks WHERE data->>'said' = 'too late'"), 3, 'who came late is on record');

# what was not committed never happened: they stand as before
wait_until(sub { 2 == grep { $_->{body} =~ /"$undone{in_flight}"/ } $partner->requests }, 'the one in flight is sent again');
for my $process (sort keys %undone)
{
	is($node->safe_psql('postgres', "SELECT state FROM workflow.visits WHERE serial_number = '$undone{$process}'"), $sent{$process}, "$process: as before");
	is($node->safe_psql('postgres', "SELECT workflow.complete('$undone{$process}', '{\"said\": \"in the end\"}')"), 't', '... and can be completed');
}

# ---- a callback that is kept, a reply that is under way, and an orderly stop ----

my $kept = start('in_flight', 'calling');
is($node->safe_psql('postgres', "SELECT workflow.complete('$kept', '{\"said\": \"early\"}')"), 't', 'before the reply: accepted');
is($node->safe_psql('postgres', "SELECT state FROM workflow.visits WHERE serial_number = '$kept'"), 'calling', 'and kept while the request is under way');
is($node->safe_psql('postgres', "SELECT workflow.complete('$kept', '{\"said\": \"twice\"}')"), 'f', 'a second one is late');
$node->restart;
is_soon($node, 'postgres', "SELECT result->'callback_response'->>'said' FROM workflow.history WHERE serial_number = '$kept'", 'early', 'the reply was lost, the callback was not');
is(scalar(grep { $_->{body} =~ /"$kept"/ } $partner->requests), 1, 'and it is not sent again');

$node->stop;
done_testing();

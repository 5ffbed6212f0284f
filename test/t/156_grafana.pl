#
# docs/grafana: what the dashboard asks is what its panels show, may be asked by a member of pg_monitor, and does not read the history from end
# to end; each alert is silent while all is well and goes off when something is not, in Grafana and in Prometheus; the exporter's file gives
# what the view metrics has. The exporter is Debian's prometheus-postgres-exporter, rules are judged by its promtool: where they are.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use CPAN::Meta::YAML;
use IO::Socket::INET;
use IPC::Run;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

chdir "$FindBin::Bin/../.." or die "no checkout: $!";

my $json = JSON::PP->new->utf8->canonical;
my $dashboard = $json->decode(slurp_file('docs/grafana/workflow.json'));
my ($alerts) = map { $_->{groups}[0]{rules} } CPAN::Meta::YAML->read('docs/grafana/alerts.yaml')->[0];
my $rules = CPAN::Meta::YAML->read('docs/grafana/rules.yaml')->[0]{groups}[0]{rules};
my @alerts = sort map { $_->{title} } @$alerts;
is(scalar @alerts, 5, 'five alerts');
is(join(' ', sort map { $_->{alert} } @$rules), "@alerts", '... the same for Prometheus');
my ($told) = slurp_file('docs/monitoring.md') =~ /^## Alerts\n(.*?)^## /ms;
is(join(' ', sort($told =~ /^\| `(\w+)`/mg)), "@alerts", '... and in docs/monitoring.md');

my $scene = Scene->new('grafana', conf => "workflow.warn_waiting = '0'\n");
my $node = $scene->node;
$scene->sql('CREATE ROLE watch LOGIN; GRANT pg_monitor TO watch; CREATE ROLE viewer LOGIN; GRANT pg_monitor TO viewer');

# ---- the dashboard, as Grafana asks ----

my @panels = grep { $_->{type} ne 'row' } @{ $dashboard->{panels} };
my %panel = map { $_->{title} => $_ } @panels;
is(join(', ', map { $_->{title} } grep { $_->{type} eq 'row' } @{ $dashboard->{panels} }), 'What is stuck, Flow, Capacity', 'what is stuck comes first');
is(scalar(keys %{ { map { $_->{id} => 1 } @{ $dashboard->{panels} } } }), scalar @{ $dashboard->{panels} }, 'each panel has a number of its own');
my (%taken, @over);
for my $p (@{ $dashboard->{panels} })
{
	my ($x, $y, $w, $h) = @{ $p->{gridPos} }{qw(x y w h)};
	push @over, "$p->{title} is too wide" if $x + $w > 24;
	for my $cell (map { my $row = $_; map { "$row,$_" } $x .. $x + $w - 1 } $y .. $y + $h - 1)
	{
		push @over, "$p->{title} is over $taken{$cell}" if $taken{$cell} && $taken{$cell} ne $p->{title};
		$taken{$cell} = $p->{title};
	}
}
is(join("\n", @over), '', 'no panel covers another one');

# Its macros, for a time between these.
sub asked
{
	my ($title, $from, $to) = @_;
	my $sql = $panel{$title}{targets}[0]{rawSql};
	$sql =~ s/\$__timeGroupAlias\((\w+), \$__interval\)/floor(extract(epoch from $1)\/60)*60 AS "time"/g;
	$sql =~ s/\$__timeFilter\((\w+)\)/"$1 BETWEEN '" . ($from \/\/ '2026-01-01T00:00:00Z') . "' AND '" . ($to \/\/ '2126-01-01T00:00:00Z') . "'"/ge;
	die "$title has a macro that nobody knows: $sql\n" if $sql =~ /\$/;
	return $sql;
}
sub as { my ($role, $sql) = @_; return $scene->sql("SET ROLE $role; $sql") }

# Columns and their types.
my %columns;
{
	my $script = join '', map { "\\echo = $_\n" . asked($_) . " \\gdesc\n" } sort keys %panel;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE watch;\n$script", on_error_stop => 1);
	is($stderr, '', 'a member of pg_monitor may ask all');
	my $title;
	for (split /\n/, $stdout)
	{
		if (/^= (.*)/) { $title = $1 }
		elsif (/^(.*)\|(.*)$/) { push @{ $columns{$title} }, [ $1, $2 ] }
	}
}
my $NUMBER = qr/^(?:bigint|double precision|numeric)$/;
for my $title (sort keys %panel)
{
	my ($type, @columns) = ($panel{$title}{type}, @{ $columns{$title} // [] });
	my $kinds = join ' ', map { $_->[1] =~ $NUMBER ? 'number' : $_->[1] } @columns;
	if ($type eq 'stat')          { is($kinds, 'number', "$title: one number") }
	elsif ($type eq 'timeseries') { is(join(' ', map { $_->[0] } @columns) . ": $kinds", 'time metric value: number text number', "$title: a number for each time and line") }
	elsif ($type eq 'bargauge')   { is($kinds, 'text number', "$title: a number for each bar") }
	else                          { like($kinds, qr/^text( text)*( number)+$/, "$title: texts and numbers") }
	my %there = map { $_->[0] => 1 } @columns;
	my @named = map { $_->{matcher}{options} } @{ $panel{$title}{fieldConfig}{overrides} };
	is(join(' ', grep { !$there{$_} } @named), '', '... and its overrides are of columns that it has');
	is($panel{$title}{targets}[0]{format}, $type eq 'timeseries' ? 'time_series' : 'table', '... asked for as that');
	cmp_ok(length($panel{$title}{description} // ''), '>', 3, '... and it says what it is');
}

# ---- alerts, as Grafana judges them: by the number of each row ----

sub grafana_alerts
{
	my %on;
	for my $rule (@$alerts)
	{
		my ($query, $threshold) = @{ $rule->{data} };
		my ($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE watch;\n$query->{model}{rawSql} \\gdesc\n$query->{model}{rawSql};", on_error_stop => 1);
		die "$rule->{title}: $stderr" if $stderr ne '';
		my (@kinds, @rows);
		for (split /\n/, $stdout)
		{
			if (/^\w+\|([a-z ]+)$/ && !@rows) { push @kinds, $1 }
			else                              { push @rows, [ split /\|/, $_, -1 ] }
		}
		die "$rule->{title} has the columns @kinds\n" unless 1 == grep { $_ =~ $NUMBER } @kinds;
		my ($at) = grep { $kinds[$_] =~ $NUMBER } 0 .. $#kinds;
		my $evaluator = $threshold->{model}{conditions}[0]{evaluator};
		my $limit = $evaluator->{params}[0];
		$on{ $rule->{title} } = 1 if grep { $evaluator->{type} eq 'lt' ? $_->[$at] < $limit : $_->[$at] > $limit } @rows;
	}
	return join ' ', sort keys %on;
}

# ---- the exporter ----

my ($exporter) = grep { -x } map { "$_/prometheus-postgres-exporter" } split /:/, $ENV{PATH};
my $queries = slurp_file('docs/grafana/queries.yaml') =~ s/^    - (\w+): \{usage: ("\w+"), description: ("[^"]*")\}$/    - $1:\n        usage: $2\n        description: $3/mgr;
$queries = CPAN::Meta::YAML->read_string($queries)->[0];
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $running;

sub start_exporter
{
	local $ENV{DATA_SOURCE_NAME} = 'host=' . $node->host . ' port=' . $node->port . ' user=watch dbname=postgres sslmode=disable';
	$running = IPC::Run::start([ $exporter, '--extend.query-path=docs/grafana/queries.yaml', '--disable-default-metrics', '--disable-settings-metrics', "--web.listen-address=127.0.0.1:$port" ],
		'<', '/dev/null', '>', "$PostgreSQL::Test::Utils::tmp_check/exporter.out", '2>&1');
}
END { local $?; $running->kill_kill if $running }

sub page
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 60) or return '';
	print $socket "GET /metrics HTTP/1.0\r\n\r\n";
	local $/;
	return <$socket> // '';
}

# "name{labels}" => value; the exporter adds a label "server" of its own.
sub scraped
{
	my %scraped;
	my $page = page();
	while ($page =~ /^(workflow_\w+)\{(.*)\} (\S+)$/mg)
	{
		my ($name, $labels, $value) = ($1, $2, $3);
		$labels =~ s/(?:^|,)server="[^"]*"//;
		$scraped{"$name\{" . ($labels =~ s/^,//r) . '}'} = $value;
	}
	return \%scraped;
}

# The same, asked by ourselves.
sub counted
{
	my %counted;
	for my $name (sort keys %$queries)
	{
		my %usage = map { my ($column) = keys %$_; $column => $_->{$column}{usage} } @{ $queries->{$name}{metrics} };
		my ($status, $stdout, $stderr) = $node->psql('postgres', "\\pset tuples_only off\n\\pset footer off\nSET ROLE watch;\n$queries->{$name}{query};", on_error_stop => 1);
		die "$name: $stderr" if $stderr ne '';
		my ($columns, @rows) = map { [ split /\|/, $_, -1 ] } split /\n/, $stdout;
		die "$name has the columns @$columns\n" if "@{[sort @$columns]}" ne join ' ', sort keys %usage;
		for my $row (@rows)
		{
			my %row;
			@row{@$columns} = @$row;
			my $labels = join ',', map { qq($_="$row{$_}") } sort grep { $usage{$_} eq 'LABEL' } @$columns;
			$counted{"${name}_$_\{$labels\}"} = $row{$_} for grep { $usage{$_} ne 'LABEL' } @$columns;
		}
	}
	return \%counted;
}

# Executors come and go between two looks, and what is measured in seconds goes on.
sub differences
{
	my ($scraped, $counted) = @_;
	my %all = (%$scraped, %$counted);
	return grep {
		my $slack = /seconds\{/ && !/latency/ ? 30 : 0;
		!defined $scraped->{$_} || !defined $counted->{$_} || abs($scraped->{$_} - $counted->{$_}) > $slack
	} sort keys %all;
}

sub exporter_agrees
{
	my ($when) = @_;
	my ($scraped, @differ);
	my $end = time() + 60;
	do
	{
		$scraped = scraped();
		@differ = differences($scraped, counted());
	} while @differ && time() < $end;
	is(join("\n", @differ), '', "the exporter has all figures, and no others: $when");
	return $scraped;
}

my @stages;    # what was scraped, and which alerts are to be on

sub alerts_are
{
	my ($expected, $when) = @_;
	is(grafana_alerts(), $expected, "alerts of Grafana: $when");
	push @stages, { scraped => exporter_agrees($when), on => [ split ' ', $expected ], when => $when } if $exporter;
}

# ---- all is well ----

wait_for_workers($node, 'postgres');
is_soon($node, 'postgres', "SELECT value FROM workflow.metrics WHERE name = 'workers' AND labels ->> 'kind' = 'dispatcher' AND labels ->> 'state' = 'running'", 1, 'the dispatcher runs');
start_exporter() if $exporter;
SKIP:
{
	skip 'there is no prometheus-postgres-exporter', 1 unless $exporter;
	wait_until(sub { page() =~ /^workflow_/m }, 'the exporter answers') or diag(slurp_file("$PostgreSQL::Test::Utils::tmp_check/exporter.out"));
}
alerts_are('', 'before anything was started');
is(as('watch', "SELECT string_agg(DISTINCT name, ' ') FROM workflow.metrics WHERE name LIKE 'partition%'"), '', 'there is no history yet');

my $H = '"headers": {' . Scene::HEADERS . '}';
$scene->define('call', qq({"steps": [{"step": "ask", "http": {"server": "partner", "path": "/\${\$.path}", $H}}]}));
$scene->define('wait', '{"steps": [{"step": "approve", "wait": true}, {"step": "offer", "wait": {"topic": "picking"}}]}');
$scene->define('sql', '{"steps": [{"step": "divide", "sql": "SELECT 1 / (visit.data->>\'by\')::int"}]}');
is(($scene->run('call', { path => 'ok' }))[1], 'completed', 'a request') for 1 .. 3;
is(($scene->run('sql', { by => 1 }))[1], 'completed', 'a statement');
my @waiting = map { $scene->start('wait') } 1 .. 3;
$scene->sql("SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE instance = $waiting[0]");
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.waiting WHERE waits_for = 'topic'", 1, 'work is offered');
# A request that takes long is not late, whatever late_seconds says.
sub slow_request
{
	my $slow = $scene->start('call', { path => 'held' });
	$scene->wait_for_requests(1, $slow);
	$scene->sql("UPDATE workflow_data.visit SET due_at = due_at - interval '1 hour' WHERE instance = $slow");
	return $slow;
}
my $slow = slow_request();
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.metrics WHERE name = 'partition_weeks_ahead' AND value = 4", 3, 'weeks ahead have partitions');
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.metrics WHERE name = 'workers' AND labels ->> 'kind' = 'executor' AND labels ->> 'state' = 'running'", 0, 'nothing is under work');
alerts_are('', 'all is well');
$scene->let_go($slow);
is($scene->finish($slow), 'completed', 'it is answered');
if ($exporter)
{
	my %named = map { $_ => 1 } map { $_->{query} =~ /'(\w+)'/g } values %$queries;
	is(join(' ', grep { !$named{$_} } split /\n/, as('watch', 'SELECT DISTINCT name FROM workflow.metrics')), '', 'the file for the exporter has all that the view has');
	like(page(), qr/^pg_exporter_last_scrape_error 0$/m, 'the exporter has no error');
}

# ---- something is not ----

# each beside those before
is(($scene->run('sql', { by => 0 }))[1], 'failed', 'an incident');
alerts_are('WorkflowIncidents', 'an incident');

$scene->server('shut', $scene->url, "max_in_flight '0'");
$scene->define('shut', '{"steps": [{"step": "ask", "http": {"server": "shut", "path": "/ok"}}]}');
my $shut = $scene->start('shut');
alerts_are('WorkflowIncidents', 'a server that was just paused');
$scene->sql("UPDATE workflow_data.visit SET due_at = due_at - interval '10 min' WHERE instance = $shut");
alerts_are('WorkflowIncidents WorkflowLate', 'a request that is held back');

$scene->sql(q[
	SELECT workflow.define('row', '{"steps": [{"step": "one", "wait": true}]}');
	CREATE TABLE orders (id int PRIMARY KEY, state text CHECK (state <> 'completed'));
	SELECT workflow.attach('orders', 'row', status_column => 'state');
	INSERT INTO orders VALUES (1);
	SELECT workflow.complete(serial_number) FROM workflow.waiting WHERE process = 'row']);
is_soon($node, 'postgres', 'SELECT count(*) FROM workflow.write_backs WHERE error IS NOT NULL', 1, 'a row that cannot be written');
alerts_are('WorkflowIncidents WorkflowLate', 'a row that was just not written');
$scene->sql(q[UPDATE workflow_data.delivery SET payload = payload || jsonb_build_object('since', (payload ->> 'since')::timestamptz - interval '20 min') WHERE kind = 'write_back']);
alerts_are('WorkflowIncidents WorkflowLate WorkflowRowsOwed', 'a row that is owed for long');

my $ahead = q[SELECT c.oid::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'workflow_data.visit_history'::regclass ORDER BY c.relname DESC];
$scene->sql("DROP TABLE $_") for (split /\n/, $scene->sql($ahead))[ 0 .. 2 ];
alerts_are('WorkflowHistory WorkflowIncidents WorkflowLate WorkflowRowsOwed', 'no partitions ahead');
my $upkeep = "UPDATE workflow_data.delivery SET due_at = now() WHERE kind = 'maintain'; SELECT workflow.start('wait')";
$scene->sql($upkeep);
is_soon($node, 'postgres', "SELECT min(value) FROM workflow.metrics WHERE name = 'partition_weeks_ahead'", 4, 'they are made again');
alerts_are('WorkflowIncidents WorkflowLate WorkflowRowsOwed', 'with partitions ahead');
$scene->sql(q[CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not today''; END';
	CREATE EVENT TRIGGER forbid ON ddl_command_start WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION forbid()]);
$scene->sql('DROP TABLE ' . (split /\n/, $scene->sql($ahead))[0]);
$scene->sql($upkeep);
is_soon($node, 'postgres', "SELECT value FROM workflow.metrics WHERE name = 'upkeep_failing'", 1, 'upkeep fails');
alerts_are('WorkflowHistory WorkflowIncidents WorkflowLate WorkflowRowsOwed', 'upkeep that fails');

# ---- what panels show, beside what the views say ----

$slow = slow_request();
for my $case (
	[ 'Dispatcher', '*', 'SELECT 1' ],
	[ 'Incidents', '*', 'SELECT count(*) FROM workflow.incidents' ],
	[ 'Late', 'late > 600', 'SELECT true' ],
	[ 'Servers not called', '*', "SELECT count(*) FROM workflow.servers WHERE state <> 'ok'" ],
	[ 'Rows owed', 'oldest > 1200', 'SELECT true' ],
	[ 'Weeks ahead', '*', 'SELECT 3' ],
	[ 'Incidents by step', 'process, step, incidents', 'SELECT process, step, count(*) FROM workflow.incidents GROUP BY 1, 2' ],
	[ 'Servers that are held back', 'server, state, parked, in_flight, late > 600', "SELECT 'shut', 'paused', 1, 0, true" ],
	[ 'Longest waits', 'process, step, waiting', 'SELECT process, step, count(*) FROM workflow.waiting GROUP BY 1, 2' ],
	[ 'Due for workers', 'work, "of", due, late > 600', "SELECT * FROM (VALUES ('http', 'partner', 1, true), ('http', 'shut', 1, true)) v" ],
	[ 'Rows that do not show what they should', 'relation, process, owed', q[SELECT 'public.' || relation, process, count(*) FROM workflow.write_backs GROUP BY 1, 2] ],
	[ 'Failures of servers by kind', '*', 'SELECT 1 WHERE false' ],
	[ 'Living instances', '*', "SELECT process, count(*) FILTER (WHERE status = 'active'), count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'suspended') FROM workflow.instances WHERE ended_at IS NULL GROUP BY 1" ],
	[ 'Living visits', '*', 'SELECT state, count(*) FROM workflow.visits GROUP BY 1' ],
	[ 'Work of topics', 'topic, ready, locked', "SELECT 'picking', 1, 0" ],
	[ 'Servers', 'server, state, requests, failures, retries, trips', 'SELECT server, state, requests, failures, retries, 0 FROM workflow.servers' ],
	[ 'Messages that are kept', '*', 'SELECT name, count(*) FROM workflow.messages GROUP BY 1' ],
	[ 'Workers', 'kind', q[SELECT DISTINCT kind FROM workflow.workers] ],
	[ 'Due now', '*', "SELECT 'http', 2", "WHERE work = 'http'" ],
	[ 'Requests under way', '*', 'SELECT server, in_flight FROM workflow.servers' ],
	[ 'Partitions of the history', '*', "SELECT * FROM (VALUES ('attempt_history', 4, 0), ('instance_history', 4, 0), ('visit_history', 3, 0)) v" ])
{
	my ($title, $part, $query, $where) = (@$case, '');
	is(as('watch', "SELECT DISTINCT $part FROM (" . asked($title) . ") p $where ORDER BY 1"), $scene->sql("SELECT * FROM ($query) q ORDER BY 1"), "$title: what it shows");
	$panel{$title}{seen} = 1;
}
like(as('watch', asked('Size of tables')), qr/^visit_history\|\d+\|\d+$/m, 'Size of tables: the history is one row');
$scene->let_go($slow);
$scene->finish($slow);
is(join(', ', sort grep { !$panel{$_}{seen} && $_ ne 'Size of tables' && $panel{$_}{type} ne 'timeseries' } keys %panel), '', 'all panels were looked at');

# ---- the history ----

is(as('watch', asked($_)), '', "$_: nothing without the privilege on processes") for 'Instances that have ended', 'Steps that have ended badly';
$scene->sql("SELECT workflow.grant_process(process, 'viewer', 'view') FROM workflow.processes");
is(as('viewer', 'SELECT metric, sum(value) FROM (' . asked('Instances that have ended') . ') p GROUP BY 1'), $scene->sql("SELECT status, count(*) FROM workflow.instances WHERE ended_at IS NOT NULL GROUP BY 1"), '... and what has ended with it');
$scene->sql("SELECT workflow.cancel(instance) FROM workflow.instances WHERE process = 'wait' AND ended_at IS NULL");
is_soon($node, 'postgres', "SET ROLE viewer; SELECT metric, sum(value) FROM (" . asked('Steps that have ended badly') . ') p GROUP BY 1', 'wait CANCELLED|5', 'and steps that have ended badly');

# a week of it, of which six hours are asked for
my $n = 200_000;
$scene->sql(qq[
	INSERT INTO workflow_data.instance_history (instance, process_id, version, attachment, started_at, ended_at, stored_at, status, data)
	SELECT 1000000000 + i, p.process_id, 1, 0, at - interval '1 min', at, now(), 'completed', '{"a": "some data of an instance"}'
	FROM workflow_data.process p, generate_series(1, $n) i, LATERAL (SELECT now() - interval '7 days' + interval '7 days' * i / $n) t (at) WHERE p.process = 'call' ORDER BY i;
	INSERT INTO workflow_data.visit_history (instance, visit, process_id, attempts, entered_at, ended_at, stored_at, step, outcome)
	SELECT 1000000000 + i, i, p.process_id, 1, at - interval '1 min', at, now(), 'ask', CASE WHEN i % 10 = 0 THEN 'FAILED' ELSE 'SUCCESS' END
	FROM workflow_data.process p, generate_series(1, $n) i, LATERAL (SELECT now() - interval '7 days' + interval '7 days' * i / $n) t (at) WHERE p.process = 'call' ORDER BY i;]);
$scene->sql($_) for 'VACUUM ANALYZE workflow_data.instance_history', 'VACUUM ANALYZE workflow_data.visit_history';
my ($from, $to) = split /\|/, $scene->sql("SELECT to_char(now() - interval '54 h', 'YYYY-MM-DD HH24:MI:SS OF'), to_char(now() - interval '48 h', 'YYYY-MM-DD HH24:MI:SS OF')");
for my $case ([ 'Instances that have ended', 'instance_history', int($n / 28) ], [ 'Steps that have ended badly', 'visit_history', int($n / 280) ])
{
	my ($title, $table, $expected) = @$case;
	my $sql = asked($title, $from, $to);
	my $found = as('viewer', "SELECT sum(value) FROM ($sql) p");
	cmp_ok(abs($found - $expected), '<', 20, "$title: six hours of a week");
	my $plan = as('viewer', "EXPLAIN (ANALYZE, BUFFERS, TIMING off) $sql");
	my ($blocks) = map { ($_->[0] // 0) + ($_->[1] // 0) } [ $plan =~ /Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?/ ];
	my $all = $scene->sql("SELECT sum(pg_relation_size(i.inhrelid)) / 8192 FROM pg_inherits i WHERE inhparent = 'workflow_data.$table'::regclass");
	cmp_ok($blocks, '<', $all / 5, '... of which a small part is read') or diag("$blocks of $all blocks\n$plan");
}
my @reads = grep { $panel{$_}{type} ne 'timeseries' && as('watch', 'EXPLAIN ' . asked($_)) =~ /_history_\d/ } sort keys %panel;
is(join(', ', @reads), '', 'no other panel reads the history');
my $begun = time();
as('watch', asked($_)) for grep { $panel{$_}{type} ne 'timeseries' } sort keys %panel;
note sprintf '%.0f ms for all of these', 1000 * (time() - $begun);

# ---- no dispatcher ----

$scene->sql('DROP EVENT TRIGGER forbid');
$scene->sql("ALTER SYSTEM SET workflow.start_paused = on");
$node->restart;
is_soon($node, 'postgres', "SELECT count(*) FROM workflow.workers WHERE kind = 'dispatcher' AND state = 'running'", 0, 'no dispatcher runs');
$scene->sql("DROP TABLE $_") for (split /\n/, $scene->sql($ahead))[ 0 .. 1 ];
# the connection that it had has gone
wait_until(sub { page() =~ /^workflow_/m }, 'the exporter is back') if $exporter;
alerts_are('WorkflowHistory WorkflowIncidents WorkflowLate WorkflowNoDispatcher WorkflowRowsOwed', 'no dispatcher');
is(as('watch', asked('Dispatcher')), 0, 'the panel says so');

# ---- Prometheus judges its rules, over what was scraped ----

my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
SKIP:
{
	skip 'there is no promtool', 2 unless $promtool;
	is(scalar(`$promtool check rules docs/grafana/rules.yaml 2>&1`) =~ /SUCCESS: (\d+) rules/ ? $1 : 'faults', 5, 'promtool finds no fault in the rules');
	skip 'there is no prometheus-postgres-exporter', 1 unless $exporter;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $rules_file = "$FindBin::Bin/../../docs/grafana/rules.yaml";
	# JSON is YAML
	my @tests = map {
		my $stage = $_;
		{
			name => $stage->{when},
			interval => '1m',
			input_series => [ map { { series => s/\}$/,server="s",instance="i"}/r, values => "$stage->{scraped}{$_}x30" } } sort keys %{ $stage->{scraped} } ],
			promql_expr_test => [ {
				expr => 'group by (alertname) (ALERTS{alertstate="firing"})',
				eval_time => '30m',
				exp_samples => [ map { { labels => "{alertname=\"$_\"}", value => 1 } } @{ $stage->{on} } ] } ] };
	} @stages;
	append_to_file("$folder/tests.yaml", $json->encode({ rule_files => [$rules_file], evaluation_interval => '1m', tests => \@tests }));
	my $said = `$promtool test rules $folder/tests.yaml 2>&1`;
	is($?, 0, 'each alert of Prometheus goes off, and no other') or diag($said);
}

$running->kill_kill if $running;
undef $running;
$node->stop;
done_testing();

#
# The examples of docs/*.md, pasted as they stand: each page in a database of its own, its blocks of SQL in their order.
#
# A block "text" after one of SQL is what that gives, at the latest after a while if it only looks; widths do not matter. Blocks of
# JSON that hold a step or a definition are defined. A block of YAML is a file of queries for postgres_exporter: each is run by a member of pg_monitor, and
# has the columns that are said of it. A block after the line <!-- not run --> is left alone, as are other languages.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use CPAN::Meta::YAML;
use JSON::PP ();
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

my $PATIENCE = 30;

# pages name files of the checkout as seen from its top
chdir "$FindBin::Bin/../.." or die "no checkout: $!";
my @pages = sort glob 'docs/*.md';
plan skip_all => 'there are no pages' unless @pages;

my $node = new_server('docs', extension => 0, conf => "log_min_messages = warning\n");

$node->safe_psql('postgres', 'CREATE ROLE doc_monitor; GRANT pg_monitor TO doc_monitor');

# Blocks of a page: {language, text, line, run}.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	while ($text =~ /^(<!-- not run[^\n]*-->\n)?```(\w*)\n(.*?)^```$/msg)
	{
		my ($not_run, $language, $block) = ($1, $2, $3);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		push @blocks, { language => $language, text => $block, line => $line, run => !defined $not_run };
	}
	return @blocks;
}

# Rows of a table as psql shows it, or of its unaligned output: cells without the spaces around them.
sub rows
{
	my ($text) = @_;
	return [
		map { [ map { s/^\s+|\s+$//gr } split /\|/, $_, -1 ] }
		grep { !/^[-+\s]*$/ && !/^\(\d+ rows?\)$/ } split /\n/, $text ];
}

sub run_sql
{
	my ($database, $sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql($database, "\\pset tuples_only off\n\\pset footer off\n$sql", on_error_stop => 1);
	return ($status, $stdout, $stderr);
}

# What only looks may be looked at again until it is as expected.
sub gives
{
	my ($database, $block, $expected, $name) = @_;
	my $only_looks = $block->{text} !~ /workflow\.\w+\s*\(/;
	my $end = time() + ($only_looks ? $PATIENCE : 0);
	my ($status, $stdout, $stderr, $rows);
	while (1)
	{
		($status, $stdout, $stderr) = run_sql($database, $block->{text});
		$rows = rows($stdout);
		last if $status != 0 || explain_rows($rows) eq explain_rows($expected) || time() > $end;
		sleep 0.1;
	}
	is($status, 0, "$name runs") or diag($stderr);
	is(explain_rows($rows), explain_rows($expected), "$name gives what it says");
}

sub explain_rows { return join("\n", map { join(' | ', @$_) } @{ $_[0] }) }

sub define_json
{
	my ($database, $block, $name) = @_;
	my $json = eval { JSON::PP->new->utf8->decode($block->{text}) };
	ok(defined $json, "$name is JSON") or return;
	return unless ref $json eq 'HASH' && ($json->{step} || $json->{steps});
	my $definition = $json->{steps} ? $block->{text} : '{"steps": [' . $block->{text} . ']}';
	$definition =~ s/'/''/g;
	my ($status, undef, $stderr) = $node->psql($database, "SELECT workflow.define('$name', '$definition')", on_error_stop => 1);
	is($status, 0, "$name can be defined") or diag($stderr);
}

# Flow mappings are more than this reader of YAML knows.
sub queries_of
{
	my ($text) = @_;
	$text =~ s/^    - (\w+): \{usage: ("\w+"), description: ("[^"]*")\}$/    - $1:\n        usage: $2\n        description: $3/mg;
	return CPAN::Meta::YAML->read_string($text)->[0];
}

sub run_queries
{
	my ($database, $block, $name) = @_;
	my $queries = eval { queries_of($block->{text}) };
	ok($queries && %$queries, "$name is YAML") or diag($@) or return;
	for my $metric (sort keys %$queries)
	{
		my %usage = map { my ($column) = keys %$_; $column => $_->{$column}{usage} } @{ $queries->{$metric}{metrics} };
		my ($status, $stdout, $stderr) = $node->psql($database,
			"\\pset tuples_only off\n\\pset footer off\nSET ROLE doc_monitor;\n$queries->{$metric}{query};", on_error_stop => 1);
		is($status, 0, "$name: $metric runs") or diag($stderr);
		my ($columns, @rows) = map { [ split /\|/, $_, -1 ] } split /\n/, $stdout;
		is_deeply([ sort @$columns ], [ sort keys %usage ], '... and has the columns that it names');
		is(scalar(grep { !/^(LABEL|GAUGE|COUNTER)$/ } values %usage), 0, '... each of a kind that there is');
		for my $n (grep { $usage{ $columns->[$_] } ne 'LABEL' } 0 .. $#$columns)
		{
			is(scalar(grep { $_->[$n] !~ /^[\d.]+(e-?\d+)?$/ } @rows), 0, "... $columns->[$n] is a number");
		}
		my @labels = grep { $usage{ $columns->[$_] } eq 'LABEL' } 0 .. $#$columns;
		my %seen;
		is(scalar(grep { $seen{ join('|', @$_[@labels]) }++ } @rows), 0, '... and no two lines have the same labels');
	}
}

for my $page (@pages)
{
	my ($database) = $page =~ m{([^/]+)\.md$};
	my $text = slurp_file($page);
	my @blocks = blocks($text);
	next unless grep { $_->{run} && $_->{language} =~ /^(sql|json)$/ } @blocks;

	$node->safe_psql('postgres', qq[CREATE DATABASE "$database"]);
	my $partner = Partner->start(psql => $node->connstr($database));
	# what a page takes for granted
	$node->safe_psql($database, 'CREATE EXTENSION workflow') unless $text =~ /^CREATE EXTENSION workflow\b/m;
	my %server = map { $_ => 1 } $text =~ /"server":\s*"(\w+)"/g;
	delete $server{$_} for $text =~ /CREATE SERVER (\w+)/g;
	$node->safe_psql($database, "CREATE SERVER $_ FOREIGN DATA WRAPPER workflow_http OPTIONS (url '" . $partner->url . "', allow_private 'true')")
	  for sort keys %server;

	for my $i (0 .. $#blocks)
	{
		my $block = $blocks[$i];
		my $name = "$page:$block->{line}";
		next unless $block->{run};
		my $port = $partner->port;
		$block->{text} =~ s/127\.0\.0\.1:8099/127.0.0.1:$port/g;
		if ($block->{language} eq 'json')
		{
			define_json($database, $block, $name);
		}
		elsif ($block->{language} eq 'yaml')
		{
			run_queries($database, $block, $name);
		}
		elsif ($block->{language} eq 'sql' && $i < $#blocks && $blocks[ $i + 1 ]{language} eq 'text')
		{
			gives($database, $block, rows($blocks[ $i + 1 ]{text}), $name);
		}
		elsif ($block->{language} eq 'sql')
		{
			my ($status, undef, $stderr) = run_sql($database, $block->{text});
			is($status, 0, "$name runs") or diag($stderr);
		}
	}
	$partner->stop;
	# no page is to change what another one sees
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()');
	$node->safe_psql('postgres', qq[DROP DATABASE "$database" WITH (FORCE)]);
}

# the page for those who come from elsewhere leaves nothing out
my $from = slurp_file('docs/from-jbpm-and-k2.md');
for (qw(requestUrl requestMethod requestHeaders requestTemplate maxRetries retryDelay cancelUrlJsonPointer cancelUrlTemplate cancelMethod cancelHeaders
	cancelTimeout ignoreCancelSignals successEvalTemplate noCallback taskTimeout heartbeatTimeout socketTimeout connectTimeout connectionRequestTimeout
	system.callbackUrl callbackMethod heartBeatUrl heartBeatMethod initialResponse callbackResponse cancelResponse SUCCESS FAILED CANCELLED TIMED_OUT DIED SYSTEM_ERROR))
{
	like($from, qr/\b\Q$_\E\b/, "$_ is mapped");
}

$node->stop;
done_testing();

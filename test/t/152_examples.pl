#
# The examples of docs/examples, run by psql as their pages say: each file in a database of its own, with the partner as the outside.
#
# The file is what the blocks of SQL of its page make. A block "text" after one of them is what that gives, as in 150_docs, but that nothing is looked at
# twice: an example waits for what it needs. An error that the page does not show is a failure. A block of Mermaid is what workflow.diagram draws.
# No incident is left, but where the page says so by the word; and no role, so that another one can be run after it.
#
# mostly waits
#

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../partner";

use File::Temp ();
use IPC::Run ();
use Pages qw(examples psql_file blocks);
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Shown qw(rows expectation explain_rows same has_messages);
use Test::More;
use Time::HiRes qw(time);
use WorkflowTest;

my $MOST_SECONDS = 60; # of an idle machine some four

chdir "$FindBin::Bin/../.." or die "no checkout: $!";
my $node = new_server('examples', extension => 0);
$Shown::superuser = $node->safe_psql('postgres', 'SELECT current_user');

# What psql gives for the file, by block: {stdout, stderr}.
sub run_file
{
	my ($file, $database) = @_;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'psql', '-X', '-q', '-P', 'footer=off', '-d', $node->connstr($database), '-f', $file ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	is($? >> 8, 0, "psql runs $database") or diag($stderr);
	my @given;
	for ([ stdout => $stdout ], [ stderr => $stderr ])
	{
		my ($which, $output) = @$_;
		my (undef, %block) = split /^\@(\d+)\n/m, $output;
		$given[$_]{$which} = $block{$_} for keys %block;
	}
	return @given;
}

sub errors { return grep { s/^psql:[^:]*:\d+: // } grep { /^psql:.*?: (?:ERROR|FATAL|error)/ } split /\n/, $_[0] }

sub compare
{
	my ($name, $page, $given) = @_;
	my @blocks = blocks($page);
	my %known;
	my $n = 0;
	for my $i (0 .. $#blocks)
	{
		next if $blocks[$i]{language} ne 'sql';
		my $got = $given->[ $n++ ];
		my $shown = $i < $#blocks && $blocks[ $i + 1 ]{language} eq 'text' ? $blocks[ $i + 1 ]{text} : undef;
		my $expected = expectation($shown // '');
		my $place = "docs/examples/$name.md:$blocks[$i]{line}";
		if (defined $shown)
		{
			my $rows = explain_rows(rows($got->{stdout}));
			same($rows, $expected->{rows}, \%known)
			  ? pass("$place gives what it says")
			  : is($rows, $expected->{rows}, "$place gives what it says");
			ok(has_messages($got->{stderr}, $expected->{messages}), '... and tells what it says') or diag($got->{stderr});
		}
		is(join("\n", errors($got->{stderr})), join("\n", grep { /^ERROR/ } @{ $expected->{messages} }), "$place has no other error");
	}
}

sub look_at
{
	my ($name, $page) = @_;
	for my $drawn (grep { $_->{language} eq 'mermaid' } blocks($page))
	{
		my ($process) = $drawn->{text} =~ /^title: "(.*), version \d+"$/m;
		is($drawn->{text}, $node->safe_psql($name, "SELECT workflow.diagram('$process')") . "\n", "docs/examples/$name.md:$drawn->{line} draws $process");
	}
	is($node->safe_psql($name, 'SELECT serial_number, step, error FROM workflow.incidents'), '', "$name leaves no incident") unless $page =~ /\bincident stands\b/;
}

sub run_example
{
	my ($name) = @_;
	my $page = slurp_file("docs/examples/$name.md");
	is(slurp_file("docs/examples/$name.sql"), psql_file($name), "$name.sql is what its page says") or diag('see test/lib/Pages.pm');
	like($page, qr/^## Definition\n.*^```mermaid\n((?!```mermaid).)*^## Run it\n((?!```mermaid).)*^## For your own\n((?!```mermaid).)*\z/ms,
		"$name.md has its parts in their order");
	like($page, qr{^createdb $name$}m, '... which says how it is run');
	like($page, qr{^psql -d $name -a -f docs/examples/$name\.sql$}m, '... by psql');

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	my $partner = Partner->start(psql => $node->connstr($name));
	my $port = $partner->port;
	my $dir = File::Temp->newdir;
	append_to_file("$dir/until.sql", slurp_file('docs/examples/until.sql'));
	append_to_file("$dir/$name.sql", psql_file($name, marks => 1) =~ s/127\.0\.0\.1:8099/127.0.0.1:$port/gr);
	my $begin = time();
	my @given = run_file("$dir/$name.sql", $name);
	my $took = time() - $begin;
	cmp_ok($took, '<', $MOST_SECONDS, sprintf('%s takes %.1f s', $name, $took));
	compare($name, $page, \@given);
	look_at($name, $page =~ s/127\.0\.0\.1:8099/127.0.0.1:$port/gr);
	$partner->stop;
	is($node->safe_psql($name, 'SELECT * FROM workflow.verify()'), '', "$name leaves rows that agree");
	$node->safe_psql('postgres', "DROP DATABASE $name WITH (FORCE)");
}

# ---- all of them ----

my @names = grep { !$ENV{WF_PAGE} || /$ENV{WF_PAGE}/ } examples();
cmp_ok(scalar @names, '>=', $ENV{WF_PAGE} ? 1 : 7, 'there are examples');
my @files = map { m{([^/]+)\.sql$} } glob 'docs/examples/*.sql';
is(join(' ', sort @files), join(' ', sort 'until', examples()), 'each has a page and a file');
my $index = slurp_file('docs/examples/README.md');
like($index, qr/\]\($_\.md\)/, "the index has $_") for @names;

my $roles = $node->safe_psql('postgres', q[SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles]);
for my $name (@names)
{
	run_example($name);
	is($node->safe_psql('postgres', q[SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles]), $roles, "$name leaves no role");
}

$node->stop;
done_testing();

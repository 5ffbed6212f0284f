#
# What README.md, docs/*.md and docs/examples/*.md say, as far as it can be looked up: links lead somewhere, tables are readable, and nothing that users may
# name is left out: functions, views, settings and options in the reference, keys of a definition in the page of steps.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Basename qw(dirname);
use Pages qw(pages examples blocks prose tables headings links);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $MOST_README_LINES = 130;
my $LONGEST_CELL = 140;

# Where the headings of a table of fields stand: "" for keys of the definition and of steps, "http." for http.path and the like.
my %HEADED = (
	definition_fields => '', step_fields => '', http_fields => 'http.', part_fields => 'multipart.', notify_fields => 'notify.', wait_fields => 'wait.', task_fields => 'task.',
	first_of_fields => 'first_of.', send_fields => 'send.', call_fields => 'call.', each_fields => 'each.', start_on_fields => 'start_on.',
	catch_fields => 'catch.', split_fields => 'next.', branch_fields => 'choose.', end_fields => 'end.', signature_fields => 'signature.', idempotency_fields => 'idempotency_key.', retry_fields => 'retry.', cancel_fields => 'cancel.');

chdir "$FindBin::Bin/../.." or die "no checkout: $!";
my %text = map { $_ => slurp_file($_) } pages(), map { "docs/examples/$_.md" } 'README', examples();
my %also = map { $_ => slurp_file($_) } grep { -e } qw(CHANGELOG.md CONTRIBUTING.md SECURITY.md src/README.md test/README.md);

sub none
{
	my ($name, @found) = @_;
	is(join("\n", @found), '', $name);
}

# ---- form ----

cmp_ok(($text{'README.md'} =~ tr/\n//), '<=', $MOST_README_LINES, 'the README is one page');

for my $page (sort keys %text)
{
	none("no cell of a table in $page is longer than $LONGEST_CELL characters",
		map { my $row = $_; map { "line $row->{line}: $_" } grep { length > $LONGEST_CELL } @{ $row->{cells} } } tables($text{$page}));
	my @columns;
	none("tables of $page have as many cells in each row as in their head", map {
		my $first = !@columns || $_->{line} != $columns[0] + 1;
		@columns = ($_->{line}, $first ? scalar @{ $_->{cells} } : $columns[1]);
		@{ $_->{cells} } == $columns[1] ? () : "line $_->{line}"
	} tables($text{$page}));
}

# ---- examples ----

# A test runs each in a session of its own; who pastes them has one, in which a role stays.
for my $page (sort keys %text)
{
	my $role = 0;
	none("examples of $page go back from a role, or set another one", map {
		my $stays = $role && $_->{text} !~ /^\s*(?:RE)?SET (?:SESSION )?(?:ROLE|AUTHORIZATION)\b/i;
		$role = $2 ? 0 : 1 while $_->{text} =~ /^\s*((RE)?)SET (?:SESSION )?(?:ROLE|AUTHORIZATION)\b/mgi;
		$stays ? "line $_->{line}" : ()
	} grep { $_->{language} eq 'sql' && !defined $_->{not_run} } blocks($text{$page}));
}

none('pages whose examples need the partner say how to start it', grep { $text{$_} =~ /127\.0\.0\.1:8099/ && $text{$_} !~ m{test/partner/partner --port 8099} } sort keys %text);

# ---- links ----

my %anchors;
sub has_anchor
{
	my ($file, $anchor) = @_;
	$anchors{$file} //= { map { $_->{anchor} => 1 } headings(slurp_file($file)) };
	return $anchors{$file}{$anchor};
}

my %linked;
for my $page (sort keys %text, sort keys %also)
{
	none("links of $page lead somewhere", map {
		my ($file, $anchor) = split /#/, $_->{target}, 2;
		my $dir = dirname($page) eq '.' ? '' : dirname($page) . '/';
		$file = $file eq '' ? $page : "$dir$file";
		1 while $file =~ s{(^|/)[^/.][^/]*/\.\./}{$1};
		$linked{$file} = 1 if $file ne $page;
		!-e $file ? "line $_->{line}: no file $_->{target}"
		  : defined $anchor && !has_anchor($file, $anchor) ? "line $_->{line}: no heading for $_->{target}"
		  : ();
	} grep { $_->{target} !~ m{^\w+://} } links($text{$page} // $also{$page}));
}
none('a link leads to each page', grep { $_ ne 'README.md' && !$linked{$_} } sort keys %text);

# ---- tests that pages name ----

my %place = (regress => 'sql/%s.sql', isolation => 'test/isolation/specs/%s.spec', tap => 'test/t/%s.pl');
my $tests = 0;
for my $page (sort keys %text)
{
	none("tests that $page names are there", map { my ($kind, $name) = @$_; $tests++; -e sprintf($place{$kind}, $name) ? () : "$kind/$name" }
		  map { [ split m{/} ] } $text{$page} =~ m{`((?:regress|isolation|tap)/\w+)`}g);
}
cmp_ok($tests, '>', 30, 'pages name tests');

# Other files name pages, too.
my @named;
for my $file (glob('src/*/*.c src/*/*.h src/schema/*.sql docs/*.sql META.json'))
{
	my $source = slurp_file($file);
	push @named, map { "$file: $_" } grep { !-e $_ && !-e "docs/$_" } $source =~ m{\b((?:docs/)?[\w-]+\.md)\b}g;
}
none('pages that the source names are there', @named);

# ---- the version ----

is(scalar qx{packaging/meta}, '', 'META.json has what PGXN asks for, and all places agree about the version');

# ---- keys of a definition ----

my %steps_heading = map { $_ => 1 } map { $_->{text} =~ /`([^`]+)`/g } headings($text{'docs/steps.md'});
my $keys = 0;
for my $file (glob 'src/model/*.c')
{
	my $source = slurp_file($file);
	while ($source =~ /^static const WfReaderField (\w+)\[\] = \{\n(.*?)^\};/msg)
	{
		my ($table, $fields) = ($1, $2);
		# without a reader it is not supported yet
		my @keys = $fields =~ /^\s*\{"([\w\$]+)", \w/mg;
		ok(exists $HEADED{$table}, "$table of $file has its place in docs/steps.md") or next;
		none("each key of $table is a heading in docs/steps.md", grep { !$steps_heading{"$HEADED{$table}$_"} } @keys);
		$keys += @keys;
	}
}
cmp_ok($keys, '>', 50, 'the keys were found');

# ---- codes of errors ----

my %code = slurp_file('src/model/fault.h') =~ /^#define (WF_CODE_\w+)\s+"(\w+)"/mg;
cmp_ok(scalar keys %code, '>', 10, 'there are codes');
my %told = map { $_ => 1 } map { $_->{cells}[0] =~ /`(\w+)`/g } tables($text{'docs/failures.md'});
none('docs/failures.md names all codes of errors', grep { !$told{$_} } values %code);
my ($known) = slurp_file('src/model/catch.c') =~ /^static const char \*const known_codes\[\] = \{\n(.*?)^\};/ms;
# the one looks like the outcome DIED, and is caught as SYSTEM_ERROR; the other is of attempts alone
none('"on" knows all of them', grep { !/^WF_CODE_(?:DIED|LOST)$/ && $known !~ /\b$_\b/ } sort keys %code);

# ---- the reference ----

my $node = new_server('pages');

sub left_out
{
	my ($what, $query, $pattern) = @_;
	my @names = split /\n/, $node->safe_psql('postgres', $query);
	cmp_ok(scalar @names, '>', 0, "there are $what");
	none("docs/reference.md names all $what", grep { my $name = $_; $text{'docs/reference.md'} !~ $pattern->($name) } @names);
}

left_out('functions', q[SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'workflow'::regnamespace ORDER BY 1],
	sub { qr/^\|.*\b\Q$_[0]\E\(/m });
left_out('views', q[SELECT relname FROM pg_class WHERE relnamespace = 'workflow'::regnamespace AND relkind = 'v' ORDER BY 1],
	sub { qr/^### `\Q$_[0]\E`$/m });
left_out('settings', q[SELECT name FROM pg_settings WHERE name LIKE 'workflow.%' ORDER BY 1], sub { qr/^\| `\Q$_[0]\E` \|/m });
left_out('columns of views', q[SELECT c.relname || '.' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 ORDER BY 1],
	sub { my ($view, $column) = split /\./, $_[0]; qr/^### `$view`\n\n`[^`]*\b$column\b[^`]*`/m });

left_out('SQLSTATEs that comments of functions name', q[SELECT DISTINCT m[1] FROM pg_proc p, regexp_matches(obj_description(p.oid, 'pg_proc'), '\m([0-9][0-9A-Z]{4})\M', 'g') m
	WHERE p.pronamespace = 'workflow'::regnamespace ORDER BY 1], sub { qr/^\| \Q$_[0]\E \|/m });

# The validator tells what it knows.
my ($status, undef, $stderr) = $node->psql('postgres', "CREATE SERVER s FOREIGN DATA WRAPPER workflow_http OPTIONS (url 'https://a.example', nothing '')");
my ($options) = $stderr =~ /^HINT:.*?: (.*)$/m;
isnt($options // '', '', 'options of servers are told') or diag($stderr);
none('docs/reference.md names all options of servers', grep { $text{'docs/reference.md'} !~ /^\|.*`$_`/m } ($options // '') =~ /\b([a-z_]+)\b(?=[,.]|$)/g);

$node->stop;
done_testing();

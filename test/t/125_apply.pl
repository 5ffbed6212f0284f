#
# bin/workflow-apply: files are checked, compared with what there is, and defined, all of them or none.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $APPLY = "$FindBin::Bin/../../bin/workflow-apply";
my $node = new_server('apply');
my $folder = PostgreSQL::Test::Utils::tempdir();

sub file
{
	my ($name, $text) = @_;
	unlink "$folder/$name";
	append_to_file("$folder/$name", $text);
	return "$folder/$name";
}

# Exit status, standard output, standard error; names of files without their folder.
sub apply
{
	my @arguments = @_;
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');
	my ($out, $err);
	IPC::Run::run([ $APPLY, @arguments ], '<', \undef, '>', \$out, '2>', \$err);
	my $status = $? >> 8;
	s/\Q$folder\E\///g for $out, $err;
	return ($status, $out, $err);
}

sub applies
{
	my ($name, $arguments, $status, $out, $err) = @_;
	my @got = apply(@$arguments);
	is($got[0], $status, "$name: status") or diag(@got[ 1, 2 ]);
	ref $out ? like($got[1], $out, "$name: output") : is($got[1], $out, "$name: output");
	ref $err ? like($got[2], $err, "$name: errors") : is($got[2], $err, "$name: errors");
}

sub versions
{
	return $node->safe_psql('postgres', q[SELECT coalesce(string_agg(process || ' ' || version, ', ' ORDER BY process, version), '') FROM workflow.processes]);
}

# ---- one file ----

my $order = file('order.json', qq[{ "steps": [ { "step": "approve", "wait": true, "timeout": "2 days" },\n { "step": "it's", "sql": "SELECT 'a', \$x\$b\$x\$ -- :y" } ] }\n]);
applies('try', [ '--dry-run', $order ], 0, "order: would be version 1, the first one\n", '');
is(versions(), '', 'nothing was stored');
applies('define', [$order], 0, "order: version 1, the first one\n", '');
is($node->safe_psql('postgres', q[SELECT definition -> 'steps' -> 1 ->> 'sql' FROM workflow.processes]), q[SELECT 'a', $x$b$x$ -- :y], 'as it was written');
applies('again', [$order], 0, "order: version 1, as it was\n", '');

file('order.json', '{ "steps": [ { "step": "approve", "wait": true, "timeout": "3 days" }, { "step": "pack", "wait": true } ] }');
my ($status, $out) = apply('-n', $order);
like($out, qr/\Aorder: would be version 2\n/, 'another version');
like($out, qr/^  changed \S*timeout: "2 days" -> "3 days"$/m, 'what is another value');
like($out, qr/^  added \S*pack\S*: \{.*\}$/m, 'what is added');
like($out, qr/^  removed \S.*it's\S*: \{.*\}$/m, 'what is removed');
is(versions(), 'order 1', 'nothing was stored');
($status, my $stored) = apply($order);
is($stored, $out =~ s/would be //r, 'the same is said when it is stored');
is(versions(), 'order 1, order 2', 'it was');

# ---- faults and warnings ----

my $wrong = file('wrong.json', '{ "steps": [ { "step": "a", "wait": true, "timeuot": "1 day" } ] }');
applies('fault', [$wrong], 1, '', qq[wrong.json:1: error: \$.steps[0].timeuot (step "a"): unknown key\n    Perhaps you meant "timeout" instead of "timeuot".\nnothing was stored\n]);
my $lines = file('lines.json', qq[{\n  "steps": [\n    { "step": "a",\n      "next": "b" } ] ,\n  "dta": {} }]);
my ($of_lines, undef, $by_line) = apply($lines);
is(join(' ', $of_lines, $by_line =~ /^lines\.json:(\d+): error/mg), '1 4 5', 'faults have their lines, in their order');
my $broken = file('broken.json', qq[{ "steps": [\n  { "step": "a",, "wait": true } ] }]);
applies('no JSON', [$broken], 1, '', qr/\Abroken\.json:2: error: is no JSON: \S.*\nnothing was stored\n\z/);
applies('empty', [ file('empty.json', '') ], 1, '', qr/\Aempty\.json:1: error: is no JSON: \S.*\nnothing was stored\n\z/);
applies('too deep', [ file('deep.json', '[' x 1000000) ], 1, '', qr/\Adeep\.json: error: is no JSON: \S.*\nnothing was stored\n\z/);
applies('a byte that is no text', [ file('bytes.json', qq[{ "steps": "\xff" }]) ], 1, '', qr/^bytes\.json: error: is no text in UTF8\nnothing was stored\n\z/m);
applies('several of them', [ $order, $broken, $wrong ], 1, '', qr/\Abroken\.json:2: error: is no JSON: .*\nwrong\.json:1: error: .*nothing was stored\n\z/s);
my $warned = file('warned.json', '{ "steps": [ { "step": "a", "wait": true, "catch": [ { "on": "TIMED_OUT", "next": "a" } ] } ] }');
applies('warning', [$warned], 0, "warned: version 1, the first one\n", qr/\Awarned\.json:1: warning: \$.steps\[0\].catch\[0\].on \(step "a"\): TIMED_OUT never happens/);

# ---- several files ----

my $child = file('child.json', '{ "steps": [ { "step": "a", "wait": true } ] }');
my $parent = file('parent.json', '{ "steps": [ { "step": "a", "call": { "process": "child" } } ] }');
my $before = versions();
applies('one of several is at fault', [ $child, $wrong, $parent, $broken ], 1, '', qr/wrong\.json:1: error: .*broken\.json:2: error: /s);
is(versions(), $before, 'none was stored');
applies('several', [ $child, $parent, "third one=$child" ], 0, qr/\Achild: version 1.*\nparent: version 1.*\nthird one: version 1/, '');
like(versions(), qr/child 1, order 1, order 2, parent 1, third one 1/, 'all were');
applies('names and files are no SQL', [ q[o'; DROP TABLE x; --$(exit)=] . file(q[$(touch x)'"; .json], '{ "steps": [ { "step": "a", "wait": true } ] }') ], 0, qr/\Ao'; DROP TABLE x; --\$\(exit\): version 1/, '');

# a definition that is larger than an argument of a program may be
my $large = file('large.json', '{ "description": "' . 'x' x 200000 . '", "steps": [ { "step": "a", "wait": true } ] }');
applies('large', [$large], 0, "large: version 1, the first one\n", '');

# the schema that an editor goes by is no fault
applies('$schema', [ file('s.json', '{ "$schema": "./definition.schema.json", "steps": [ { "step": "a", "wait": true } ] }') ], 0, "s: version 1, the first one\n", '');

# an undefined process comes back
$node->safe_psql('postgres', q[SELECT workflow.undefine('s')]);
applies('undefined', [ "$folder/s.json" ], 0, "s: version 1, no longer undefined\n", '');

# ---- what cannot be done ----

$node->safe_psql('postgres', q[CREATE ROLE stranger LOGIN; GRANT USAGE ON SCHEMA workflow TO stranger; GRANT EXECUTE ON FUNCTION workflow.define, workflow.check TO stranger]);
applies('somebody else', [ '-d', 'user=stranger', $order ], 3, '', qr/ERROR: .*order/);
applies('no such database', [ '--dbname=nowhere', $order ], 3, '', qr/nowhere/);
applies('no file', ["$folder/none.json"], 2, '', qr/none\.json: is no file/);
applies('no argument', [], 2, '', qr/workflow-apply \[--dry-run\]/);
applies('no option', [ '--frobnicate', $order ], 2, '', qr/workflow-apply \[--dry-run\]/);
applies('help', ['--help'], 0, qr/^workflow-apply \[--dry-run\]/, '');

$node->stop;
done_testing();

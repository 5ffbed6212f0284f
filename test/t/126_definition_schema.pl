#
# The JSON Schema of definitions: it takes whatever workflow.define takes, and knows no key and no type that the reader does not.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Mermaid;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

my $PYTHON = "$FindBin::Bin/../lib/definition_schema.py";
my $PUBLISHED = 'docs/definition.schema.json';
# Debian's package is for Debian's Python, which need not be the first one
my ($python) = grep { system("$_ -c 'import jsonschema' 2>/dev/null") == 0 } 'python3', '/usr/bin/python3';
my $json = JSON::PP->new->ascii->canonical->allow_nonref;

plan skip_all => 'Debian has python3-jsonschema for it' unless defined $python;
chdir "$FindBin::Bin/../.." or die "no checkout: $!";
my $node = new_server('schema');

# ---- what is published ----

my $schema = $node->safe_psql('postgres', 'SELECT workflow.definition_schema()');
ok(slurp_file($PUBLISHED) eq "$schema\n", "$PUBLISHED is what workflow.definition_schema() gives");
is($node->safe_psql('postgres', q[SET ROLE pg_monitor; SELECT workflow.definition_schema() ->> '$schema']),
	'https://json-schema.org/draft/2020-12/schema', 'it is for everyone who may use the schema');

my $file = PostgreSQL::Test::Utils::tempdir() . '/schema.json';
append_to_file($file, $schema);

# ---- definitions ----

# What the schema says of each: nothing, or a fault.
sub faults
{
	my @texts = @_;
	my $in = join('', map { $json->encode($json->decode($_)) . "\n" } @texts);
	my ($out, $err);
	IPC::Run::run([ $python, $PYTHON, 'valid', $file ], '<', \$in, '>', \$out, '2>', \$err) or die "$PYTHON: $err";
	my @faults = split /\n/, $out, -1;
	pop @faults;
	die 'one fault for each' if @faults != @texts;
	return @faults;
}

# What the reader says of each: a list of {path, message}.
sub issues
{
	my @texts = @_;
	my $out = $node->safe_psql('postgres', join('', map { "SELECT coalesce(json_agg(c) FILTER (WHERE severity = 'error'), '[]') FROM workflow.check(\$text\$$_\$text\$) c;\n" } map { s/\n/ /gr } @texts));
	return map { $json->decode(s/\n//gr) } split /\n(?=\[)/, $out;
}

my @all = grep { eval { JSON::PP->new->decode($_->{json}); 1 } } Mermaid::definitions();
my @issues = issues(map { $_->{json} } @all);
is(scalar @issues, scalar @all, 'each definition was checked');
my @accepted = grep { !@{ $issues[$_] } } 0 .. $#all;
cmp_ok(scalar @accepted, '>', 500, 'many definitions of the tests and pages are accepted');
my @faults = faults(map { $_->{json} } @all[@accepted]);
is(join("\n", map { "$all[$accepted[$_]]{place}: $faults[$_]" } grep { $faults[$_] ne '' } 0 .. $#faults), '',
	'whatever is accepted is valid');

# ---- broken ones ----

my $step = '{"steps": [{"step": "a", %s}]}';
my @broken = (
	'[]', '{}', '{"steps": []}', '{"steps": {}}', '{"steps": [1]}', '{"steps": [{}]}', '{"steps": [{"step": "a", "wait": true}], "stesp": 1}',
	'{"steps": [{"step": " ", "wait": true}]}', '{"steps": [{"step": "a", "wait": true}], "data": []}', '{"$schema": 1, "steps": [{"step": "a", "wait": true}]}',
	'{"steps": [{"step": "a", "wait": true}], "priority": 1}',
	(map { sprintf $step, $_ } (
		'"wait": false', '"wait": {}', '"wait": {"callback": true, "after": "1 day"}', '"wait": {"every": "1 day"}', '"wait": {"callback": false}',
		'"wait": {"signal": "s", "key": "1"}', '"wiat": true', '"wait": true, "timeout": 5', '"sql": "SELECT 1", "set": {}', '"sql": " "', '"set": "x"',
		'"wait": true, "next": "a", "end": true', '"wait": true, "first_of": [{"after": "1 s", "next": "a"}, {"after": "2 s", "next": "a"}]',
		'"first_of": [{"after": "1 s", "next": "a"}]', '"first_of": [{"after": "1 s"}, {"after": "2 s", "next": "a"}]',
		'"http": {}', '"http": {"server": "s", "path": "/", "url": "http://a"}', '"http": {"server": "s", "text": "t", "body": 1}',
		'"http": {"server": "s", "body": 1, "type": "a/b"}', '"http": {"server": "s", "headers": {"a": null}}', '"http": {"server": "s", "multipart": {}}',
		'"http": {"server": "s", "multipart": [{"text": "t"}]}', '"http": {"server": "s", "multipart": {"a": {}}}',
		'"sql": "SELECT 1", "retry": 3', '"sql": "SELECT 1", "retry": {}', '"sql": "SELECT 1", "retry": {"max": -1}', '"sql": "SELECT 1", "retry": {"max": 1.5}',
		'"sql": "SELECT 1", "retry": {"max": 1, "backoff": "cubic"}', '"sql": "SELECT 1", "retry": {"max": 1, "delay": []}', '"sql": "SELECT 1", "retry": {"max": 1, "on": 700}',
		'"wait": true, "catch": {}', '"wait": true, "catch": [{"next": "a"}]', '"wait": true, "catch": [{"on": "FAILED"}]', '"wait": true, "catch": [{"on": [], "next": "a"}]',
		'"wait": true, "catch": [{"on": "FAILED", "after": "1 s", "next": "a"}]', '"wait": true, "catch": [{"after": "1 s", "times": 2, "next": "a"}]',
		'"wait": true, "catch": [{"every": "1 s", "next": "a"}]', '"wait": true, "catch": [{"every": "1 s", "interrupt": true, "next": "a"}]',
		'"send": {}', '"send": {"message": "m", "signal": "s"}', '"send": {"signal": "s", "ttl": "1 s"}', '"call": {}', '"call": {"process": "p", "version": 0}',
		'"wait": true, "next": []', '"wait": true, "next": {"when": "$.a", "next": "a"}', '"wait": true, "next": [{"when": "$.a == 1"}]', '"wait": true, "next": [{"else": "a", "when": "$.a == 1"}]',
		'"wait": true, "choose": []', '"wait": true, "choose": [{"when": "$.a == 1"}]', '"wait": true, "end": false', '"wait": true, "end": "all"',
		'"wait": true, "end": {"abort": "a", "error": "b"}', '"wait": true, "end": {"abort": "a", "message": "b"}', '"wait": true, "join": 0', '"wait": true, "join": "some"',
		'"wait": true, "each": {"parallel": 1}', '"wait": true, "local": {}', '"wait": true, "cancel": {"path": "/"}', '"wait": {"task": {"title": "t"}}', '"wait": {"topic": ""}',
		'"steps": []', '"notify": {"payload": "p"}', '"wait": {"callback": true, "signature": {"kind": "md5"}}')),
	(map { sprintf '{"steps": [{"step": "a", "wait": true}], "start_on": %s}', $_ } (
		'{}', '[{}]', '[{"message": "m", "webhook": "w"}]', '[{"message": "m", "signature": {"kind": "github"}}]', '[{"webhook": "w", "key": "k"}]')));
my @refused = issues(@broken);
my @invalid = faults(@broken);
is(join("\n", map { $broken[$_] } grep { !@{ $refused[$_] } } 0 .. $#broken), '', 'broken ones are refused');
is(join("\n", map { $broken[$_] } grep { $invalid[$_] eq '' } 0 .. $#broken), '', 'and are not valid');

# ---- each key and type of the schema ----

my ($out, $err);
IPC::Run::run([ $python, $PYTHON, 'samples', $file ], '>', \$out, '2>', \$err) or die "$PYTHON: $err";
my @samples = map { [ split /\t/, $_, 2 ] } split /\n/, $out;
cmp_ok(scalar @samples, '>', 200, 'the schema has many keys');
my @of_samples = issues(map { $_->[1] } @samples);
my @wide;
for my $i (0 .. $#samples)
{
	my ($path, $text) = @{ $samples[$i] };
	push @wide, map { "$path: $_->{message} in $text" }
		grep { $_->{path} eq $path && $_->{message} =~ /^unknown key|^must be .*, not (?:an? )?(?:null|boolean|number|string|array|object|list|true|false)\b|is not supported/ } @{ $of_samples[$i] };
}
is(join("\n", @wide), '', 'the reader knows each key of the schema, and takes each type that the schema gives it');

$node->stop;
done_testing();

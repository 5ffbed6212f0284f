#
# workflow.diagram of all definitions in sql/ and docs/ (those of TAP tests are drawn where each ends): each text is what the language of Mermaid allows, names nothing that it does not draw,
# and says of each step what it is called. Where the real renderer is at hand (see test/lib/Mermaid.pm), it draws them, and shows these names.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Browser;
use Encode qw(decode_utf8);
use JSON::PP ();
use Mermaid;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WorkflowTest;

chdir "$FindBin::Bin/../.." or die "no checkout: $!";

my $node = new_server('diagrams');
leave_undrawn('what has faults is stored, too');
my @definitions = Mermaid::definitions();
cmp_ok(scalar @definitions, '>', 500, 'there are many definitions');

# They are stored as they are, since the tables, servers and roles that they name are not here: define would refuse them. What is none is
# left out.
$node->safe_psql(
	'postgres', q[
	CREATE TABLE given (place text PRIMARY KEY, definition text);
	CREATE TABLE drawn (place text PRIMARY KEY, diagram text, error text);
	CREATE PROCEDURE draw() LANGUAGE plpgsql AS $$
	DECLARE
		one given;
	BEGIN
		FOR one IN SELECT * FROM given LOOP
			BEGIN
				INSERT INTO workflow_data.process (process, owner, owner_name, latest) SELECT one.place, oid, rolname, 1 FROM pg_authid WHERE oid = 10;
				INSERT INTO workflow_data.process_version SELECT process_id, 1, one.definition::json, 'public', 'UTC', now()
					FROM workflow_data.process WHERE process = one.place;
				INSERT INTO drawn VALUES (one.place, workflow.diagram(one.place));
			EXCEPTION WHEN data_exception OR feature_not_supported THEN
				INSERT INTO drawn VALUES (one.place, NULL, sqlerrm);
			END;
		END LOOP;
	END $$]);
my $copy = '';
for (@definitions)
{
	my $json = $_->{json} =~ s/\\/\\\\/gr =~ s/\t/\\t/gr =~ s/\n/\\n/gr;
	$copy .= "$_->{place}\t$json\n";
}
$node->safe_psql('postgres', "COPY given FROM stdin;\n$copy\\.\nCALL draw();\n");

my $refused = $node->safe_psql('postgres', 'SELECT count(*) FROM drawn WHERE diagram IS NULL');
my @drawn = map { [ split /\t/, $_, 2 ] } split /\n/,
  $node->safe_psql('postgres', q[SELECT place || E'\t' || replace(diagram, E'\n', E'\r') FROM drawn WHERE diagram IS NOT NULL ORDER BY place]);
my %given = map { $_->{place} => $_->{json} } @definitions;
$_->[1] =~ tr/\r/\n/ for @drawn;
cmp_ok(scalar @drawn, '>', 400, 'most of them are drawn');
note scalar @drawn, " are drawn, $refused have faults";

# All names of steps in it.
sub names
{
	my ($steps) = @_;
	return map { ($_->{step}, $_->{steps} ? names($_->{steps}) : ()) } @$steps;
}

my (@faults, @unnamed);
for (@drawn)
{
	my ($place, $text) = @$_;
	my $diagram = Mermaid::parse($text);
	push @faults, map { "$place: $_" } @{ $diagram->{faults} };
	next if @{ $diagram->{faults} };
	my @labels = map { $diagram->{nodes}{$_} } grep { /^s/ } keys %{ $diagram->{nodes} };
	for my $name (names(JSON::PP->new->utf8->decode($given{$place})->{steps}))
	{
		utf8::encode($name);
		$name =~ s/\s+/ /g;
		# what Mermaid takes for marks of its own is written otherwise
		$name =~ s/\xef\xac\x82(?=\xc2\xb0)/fl/g;
		$name =~ s/\xc2\xb6(?=\xc3\x9f)/\xc2\xb6 /g;
		push @unnamed, "$place: $name" unless grep { index($_, $name) == 0 } @labels;
	}
}
is(join("\n", @faults), '', 'each text is a flowchart');
is(join("\n", @unnamed), '', 'each step has its name in it');

# The page in docs/page draws them, too: each step, none over another one, whatever leads where.
SKIP:
{
	skip 'there is no Chromium', 4 unless Browser::path();

	my $browser = Browser->new(PostgreSQL::Test::Utils::tempdir());
	$browser->value(slurp_file('docs/page/diagram.js') =~ s/^const Diagram/var Diagram/mr . '; true');
	my (@failed, @covered, @left_out, %seen);
	for (@drawn)
	{
		my ($place, $text) = @$_;
		# of the same shape are many
		next if $seen{ Mermaid::shape($text) }++;
		my $quoted = JSON::PP->new->ascii->allow_nonref->encode(decode_utf8($text));
		my $found = eval { $browser->value(<<"EOJ") };
(() => {
	const svg = Diagram.draw($quoted);
	document.body.replaceChildren(svg);
	const boxes = [...svg.querySelectorAll('g.node')].map((g) => [g.dataset.step, g.firstElementChild.getBoundingClientRect()]);
	const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
	const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
	const leaves = [...svg.querySelectorAll('g.node:not(.box)')].map((g) => [g.dataset.step, g.firstElementChild.getBoundingClientRect()]);
	const crossed = new Set();
	for (const path of svg.querySelectorAll('path.way')) {
		const at = svg.getBoundingClientRect();
		for (let i = 0; i < path.getTotalLength(); i += 10) {
			const point = path.getPointAtLength(i), x = point.x + at.left, y = point.y + at.top;
			for (const [step, r] of leaves) if (x > r.left + 3 && x < r.right - 3 && y > r.top + 8 && y < r.bottom - 8) crossed.add(step);
		}
	}
	return { nodes: boxes.length, crossed: [...crossed], ways: svg.querySelectorAll('path.way').length, out: boxes.filter(([, a]) => !within(a, svg.getBoundingClientRect())).map(([a]) => a),
		over: boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([, y]) => meet(x, y) && !within(x, y) && !within(y, x)).map(([b]) => a + '/' + b)) };
})()
EOJ
		if (!$found) { push @failed, "$place: $@"; next }
		my $diagram = Mermaid::parse($text);
		push @covered, map { "$place: $_" } @{ $found->{over} }, @{ $found->{out} }, @{ $found->{crossed} };
		push @left_out, $place if $found->{nodes} != keys %{ $diagram->{nodes} } || $found->{ways} != @{ $diagram->{ways} };
	}
	cmp_ok(scalar keys %seen, '>', 200, 'there are many shapes');
	is(join("\n", @failed), '', 'the page draws each');
	is(join("\n", @left_out), '', 'with all steps and ways');
	is(join("\n", @covered), '', 'and none covers another one, nor has a way over it');
}

SKIP:
{
	my $missing = Mermaid::missing();
	skip "not rendered: $missing", 3 if $missing;

	my $folder = PostgreSQL::Test::Utils::tempdir();
	my @shown = Mermaid::rendered($folder, map { $_->[1] } @drawn);
	is(scalar @shown, scalar @drawn, 'all have been rendered');
	my (@errors, @lost);
	for my $i (0 .. $#shown)
	{
		my ($place, $text) = @{ $drawn[$i] };
		push @errors, "$place: $shown[$i]{error}" if $shown[$i]{error};
		push @errors, "$place: it has become more than text" if $shown[$i]{scripts};
		next if $shown[$i]{error};
		my $diagram = Mermaid::parse($text);
		my %shows = map { $_ => 1 } @{ $shown[$i]{labels} };
		for my $label (values %{ $diagram->{nodes} }, map { $_->{label} } @{ $diagram->{ways} })
		{
			my $said = decode_utf8($label) =~ s/\s+/ /gr =~ s/^ | $//gr;
			push @lost, "$place: $said" unless $shows{$said} || $said eq '';
		}
	}
	is(join("\n", @errors), '', 'the renderer draws each');
	is(join("\n", @lost), '', 'and shows what each says');

	my %pictured = map { Mermaid::shape($_->[1]) => { of => $_->[0], text => $_->[1] } } @drawn;
	# for people to look at: no reason to fail
	eval { Mermaid::pictures($ENV{WF_PICTURES}, 'definitions', values %pictured); 1 } or note $@ if $ENV{WF_PICTURES};
}

$node->stop;
done_testing();

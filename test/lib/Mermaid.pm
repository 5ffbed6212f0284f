#
# Mermaid.pm
#		Diagrams: the definitions of the tests and the pages to draw, what a text of workflow.diagram says, and the real renderer.
#
#   my @definitions = Mermaid::definitions()        {place, json}, as they stand in sql/ and docs/; also those that are refused
#   my $diagram = Mermaid::parse($text)             {title, nodes => {id => label}, ways => [{from, to, dashed, label}], faults}
#   my $why = Mermaid::missing()                    why nothing can be rendered here; undef: it can
#   my @drawn = Mermaid::rendered($folder, @texts)  {error, labels} of each, in their order
#   Mermaid::pictures($folder, $name, @drawn)       pictures of {of, text} as NAME.OF.png in that folder
#   my $shape = Mermaid::shape($text)               what is the same in diagrams that differ in their words alone
#
# The renderer is the file that WF_MERMAID names (dist/mermaid.min.js of the package of npm), run in a headless Chromium. Nothing is loaded
# from elsewhere.
#
package Mermaid;

use strict;
use warnings;

use Browser;
use Encode qw(decode_utf8 encode_utf8);
use File::Copy qw(copy);
use JSON::PP ();
use Pages qw(pages examples blocks);
use PostgreSQL::Test::Utils qw(slurp_file append_to_file);

my $json = JSON::PP->new->ascii->canonical;

# ---- definitions ----

sub unquoted
{
	my ($literal) = @_;
	return $1 if $literal =~ /^\$(\w*)\$(.*)\$\1\$$/s && (return $2);
	return ($literal =~ s/^'|'$//gr) =~ s/''/'/gr;
}

# What stands as a literal in calls of define, also in those that are to fail.
sub literals
{
	my ($text) = @_;
	my @found;
	push @found, unquoted($1)
	  while $text =~ /workflow\.define\(\s*(?:E?'(?:[^']|'')*')\s*,\s*(\$(\w*)\$.*?\$\2\$|'(?:[^']|'')*')/sg;
	return @found;
}

sub definitions
{
	my @found;
	for my $file (sort glob 'sql/*.sql')
	{
		my $n = 0;
		push @found, map { { place => $file . '#' . ++$n, json => $_ } } literals(slurp_file($file));
	}
	for my $file (pages(), map { "docs/examples/$_.md" } examples())
	{
		my $n = 0;
		for my $block (grep { $_->{language} eq 'sql' } blocks(slurp_file($file)))
		{
			push @found, map { { place => $file . '#' . ++$n, json => $_ } } literals($block->{text});
		}
	}
	return @found;
}

# ---- what a diagram says ----

# The text of a label: its entities decoded; a line break is a space.
sub plain
{
	my ($label) = @_;
	$label =~ s{<br/>}{ }g;
	$label =~ s/#8203;//g; # nobody sees it
	$label =~ s/#(\d+);/chr $1/ge;
	return $label;
}

sub parse
{
	my ($text) = @_;
	my ($title, $rest) = $text =~ /^---\ntitle: ("[^\n]*")\n(?:config: \{ flowchart: \{ subGraphTitleMargin: \{ bottom: \d+ \} \} \}\n)?---\nflowchart TD\n(.*)$/s or return { faults => ['no flowchart'] };
	my %diagram = (title => JSON::PP->new->allow_nonref->decode($title), nodes => {}, ways => [], faults => []);
	my $label = qr/"((?:<br\/>|[^"<>`*\[\]{}\\%:;#]|#\d+;)*)"/;
	my $depth = 0;
	for (split /\n/, $rest)
	{
		if (/^ +subgraph (s\d+)\[$label\]$/) { $depth++; $diagram{nodes}{$1} = plain($2) }
		elsif (/^ +end$/)          { $depth-- }
		elsif (/^ +direction TB$/) { }
		elsif (/^ +([bmsetxo]\d+)(?:\(\(|\(\(\(|\(\[|\(|\[\(|\[\[|\[\/|\[|\{\{|\{|>)$label(?:\)\)|\)\)\)|\]\)|\)|\)\]|\]\]|\\\]|\/\]|\]|\}\}|\})$/)
		{
			push @{ $diagram{faults} }, "$1 comes twice" if exists $diagram{nodes}{$1};
			$diagram{nodes}{$1} = plain($2);
		}
		elsif (/^ +([bms]\d+) (-\.->|-->)(?:\|$label\|)? ([setx]\d+)$/)
		{
			my $way = { from => $1, to => $4, dashed => $2 eq '-.->', label => defined $3 ? plain($3) : '' };
			push @{ $diagram{ways} }, $way;
			push @{ $diagram{faults} }, "$_: nobody has named it before"
			  if grep { !exists $diagram{nodes}{$_} } @$way{qw(from to)};
		}
		elsif (!/^ +class s\d+(?:,s\d+)* \w+$/ && !/^ +classDef \w+ [\w\-:#, ]+$/) { push @{ $diagram{faults} }, "what is \"$_\"?" }
	}
	push @{ $diagram{faults} }, 'the subgraphs do not end' if $depth != 0;
	return \%diagram;
}

# ---- the renderer ----

sub missing
{
	return 'there is no Chromium' unless Browser::path();
	return 'WF_MERMAID names no file of the renderer' unless -f ($ENV{WF_MERMAID} // '');
	return undef;
}

my $page = <<'PAGE';
<!DOCTYPE html><meta charset="utf-8"><script src="mermaid.js"></script><script src="texts.js"></script><body><script>
mermaid.initialize({ startOnLoad: false, maxTextSize: 1e7, maxEdges: 1e5 });
(async () => {
	const drawn = [];
	for (const [i, text] of texts.entries()) {
		try {
			const place = document.createElement('div');
			place.innerHTML = (await mermaid.render('d' + i, text)).svg;
			document.body.append(place);
			const all = (selector) => [...place.querySelectorAll(selector)].map((e) => e.innerHTML.replace(/<br ?\/?>/g, ' ').replace(/<[^>]*>/g, ''))
				.map((html) => Object.assign(document.createElement('textarea'), { innerHTML: html }).value.replace(/\u200b/g, '').replace(/\s+/g, ' ').trim());
			drawn.push({ labels: all('.nodeLabel, .edgeLabel .edgeLabel'), scripts: place.querySelectorAll('script, iframe, img, a').length });
			if (!location.hash) place.remove();
		} catch (e) {
			drawn.push({ error: String(e) });
		}
	}
	const out = document.createElement('pre');
	out.id = 'out';
	out.textContent = JSON.stringify(drawn).replace(/[^ -~]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
	if (!location.hash) document.body.append(out);
})();
</script></body>
PAGE

sub rendered
{
	my ($folder, @texts) = @_;
	return unless @texts;
	copy($ENV{WF_MERMAID}, "$folder/mermaid.js") or die "$ENV{WF_MERMAID}: $!";
	append_to_file("$folder/page.html", $page);
	append_to_file("$folder/texts.js", 'const texts = ' . $json->encode([ map { decode_utf8($_) } @texts ]) . ";\n");
	my @command = (Browser::path(), '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', "--user-data-dir=$folder/browser",
		'--virtual-time-budget=600000', '--dump-dom', "file://$folder/page.html");
	IPC::Run::run(\@command, '>', \my $dom, '2>', '/dev/null', IPC::Run::timeout(600)) or die 'Chromium has failed';
	my ($out) = $dom =~ m{<pre id="out">(.*?)</pre>}s or die 'Chromium has drawn nothing';
	$out =~ s/&lt;/</g;
	$out =~ s/&gt;/>/g;
	$out =~ s/&amp;/&/g;
	return @{ JSON::PP->new->decode($out) };
}

sub shape
{
	my ($text) = @_;
	return $text =~ s/^title.*$//mr =~ s/"[^"]*"/""/gr;
}

# larger ones show nothing on a screen
my $LARGEST_PICTURE = 8000;

sub pictures
{
	my ($folder, $name, @drawn) = @_;
	my $browser = Browser->new(PostgreSQL::Test::Utils::tempdir());
	$browser->go('about:blank');
	$browser->value(decode_utf8(slurp_file($ENV{WF_MERMAID})) . '; mermaid.initialize({ startOnLoad: false, maxTextSize: 1e7, maxEdges: 1e5 }); true');
	for my $one (grep { length $_->{text} < $LARGEST_PICTURE } @drawn)
	{
		my $text = $json->allow_nonref->encode(decode_utf8($one->{text}));
		my $size = $browser->value("mermaid.render('d', $text).then(({ svg }) => { document.body.innerHTML = svg; const box = document.querySelector('svg').viewBox.baseVal; "
			  . 'const style = document.querySelector("svg").style; style.maxWidth = "none"; style.width = box.width + "px"; return [box.width, box.height]; })');
		$browser->size(map { my $n = int($_) + 30; $n < 300 ? 300 : $n > 3000 ? 3000 : $n } @$size);
		$browser->picture("$folder/$name." . ($one->{of} =~ s/\W+/_/gr) . '.png');
	}
	return;
}

1;

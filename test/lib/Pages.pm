#
# Pages.pm
#		Reads the pages that users read, README.md and docs/*.md: their blocks, tables, headings and links.
#
package Pages;

use strict;
use warnings;

use Exporter qw(import);
use PostgreSQL::Test::Utils qw(slurp_file);

our @EXPORT_OK = qw(pages blocks prose tables headings anchor links);

# All of them, as seen from the top of the checkout.
sub pages { return ('README.md', sort glob 'docs/*.md') }

sub line_of { return 1 + (substr($_[0], 0, $_[1]) =~ tr/\n//) }

# Blocks of code: {language, text, line, not_run, partner}. Lines of comment right before one say how it is run: "not run: REASON",
# and "partner stops" or "partner starts", which happens before it.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	while ($text =~ /^((?:<!-- [^\n]* -->\n)*)```(\w*)\n(.*?)^```$/msg)
	{
		my ($comments, $language, $block) = ($1, $2, $3);
		my $line = line_of($text, $-[0]);
		my ($not_run) = $comments =~ /^<!-- not run(?:: *(.*?))? -->$/m ? ($1 // '') : (undef);
		my ($partner) = $comments =~ /^<!-- partner (stops|starts) -->$/m;
		push @blocks, { language => $language, text => $block, line => $line, not_run => $not_run, partner => $partner };
	}
	return @blocks;
}

# The page without its blocks; lines keep their numbers.
sub prose
{
	my ($text) = @_;
	$text =~ s/^```.*?^```$/"\n" x ($& =~ tr{\n}{})/msge;
	return $text;
}

# Rows of all tables: {line, cells}.
sub tables
{
	my @lines = split /\n/, prose($_[0]);
	my @rows;
	for my $i (0 .. $#lines)
	{
		next unless $lines[$i] =~ /^\|(.*)\|\s*$/;
		my $row = $1;
		# a bar in a cell is written \|
		push @rows, { line => $i + 1, cells => [ map { s/^\s+|\s+$//gr } split /(?<!\\)\|/, $row, -1 ] };
	}
	return @rows;
}

# As GitHub makes it of a heading.
sub anchor
{
	my ($heading) = @_;
	$heading = lc $heading;
	$heading =~ s/[^\w\- ]//g;
	$heading =~ tr/ /-/;
	return $heading;
}

# {text, anchor, level}; the second heading of a name has another anchor.
sub headings
{
	my ($text) = @_;
	my (@headings, %seen);
	for (split /\n/, prose($text))
	{
		my ($level, $heading) = /^(#+) +(.*?)\s*$/ or next;
		my $anchor = anchor($heading);
		my $n = $seen{$anchor}++;
		push @headings, { text => $heading, level => length $level, anchor => $n ? "$anchor-$n" : $anchor };
	}
	return @headings;
}

# {line, target} of links to files and anchors.
sub links
{
	my ($text) = @_;
	$text = prose($text);
	$text =~ s/`[^`\n]*`/'`' x length $&/ge;
	my @links;
	while ($text =~ /\]\(([^()\s]+)\)/g)
	{
		push @links, { line => line_of($text, $-[0]), target => $1 };
	}
	return @links;
}

1;

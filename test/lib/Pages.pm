#
# Pages.pm
#		Reads the pages that users read, README.md, docs/*.md and docs/examples/*.md: their blocks, tables, headings and links.
#
# An example is a page and, beside it, the file for psql that its blocks of SQL make. After a change of pages, in the checkout,
#   perl -Itest/lib -MPages -e 'Pages::write_examples()'
# writes these files.
#
package Pages;

use strict;
use warnings;

use Exporter qw(import);
our @EXPORT_OK = qw(pages examples psql_file blocks prose tables headings anchor links);

# All of them but examples, as seen from the top of the checkout.
sub pages { return ('README.md', sort glob 'docs/*.md') }

# Names of examples.
sub examples { return grep { $_ ne 'README' } map { m{([^/]+)\.md$} } sort glob 'docs/examples/*.md' }

sub slurp
{
	my ($name) = @_;
	open(my $file, '<', $name) or die "$name: $!\n";
	local $/;
	return <$file>;
}

# The file of an example. With marks it tells, on both of its outputs, the number of each block before that runs.
sub psql_file
{
	my ($name, %option) = @_;
	my $text = slurp("docs/examples/$name.md");
	my ($title) = $text =~ /^# (.*)$/m;
	my $file = "-- $title: $name.md tells what this is, and what each statement gives.\n"
	  . "-- In a database of its own: createdb $name, then psql -d $name -a -f docs/examples/$name.sql\n";
	my $n = 0;
	for my $part (split /^(?=## )/m, $text)
	{
		my ($heading) = $part =~ /^## (.*)$/m;
		for my $block (grep { $_->{language} eq 'sql' } blocks($part))
		{
			$file .= "\n-- ---- $heading ----\n" if defined $heading;
			$heading = undef;
			$file .= "\n" . ($option{marks} ? "\\echo \@$n\n\\warn \@$n\n" : '') . $block->{text};
			$n++;
		}
	}
	return $file;
}

sub write_examples
{
	for my $name (examples())
	{
		open(my $file, '>', "docs/examples/$name.sql") or die "$name.sql: $!\n";
		print $file psql_file($name);
		close $file or die "$name.sql: $!\n";
	}
}

sub line_of { return 1 + (substr($_[0], 0, $_[1]) =~ tr/\n//) }

# Blocks of code: {language, text, line, not_run, run, partner}. Lines of comment right before one say how it is run: "not run: REASON",
# "run", of one for a shell, and "partner stops" or "partner starts", which happens before it.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	while ($text =~ /^((?:<!-- [^\n]* -->\n)*)```(\w*)\n(.*?)^```$/msg)
	{
		my ($comments, $language, $block) = ($1, $2, $3);
		my $line = line_of($text, $-[0]);
		my ($not_run) = $comments =~ /^<!-- not run(?:: *(.*?))? -->$/m ? ($1 // '') : (undef);
		my $run = $comments =~ /^<!-- run -->$/m;
		my ($partner) = $comments =~ /^<!-- partner (stops|starts) -->$/m;
		push @blocks, { language => $language, text => $block, line => $line, not_run => $not_run, run => $run, partner => $partner };
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

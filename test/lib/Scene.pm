#
# Scene.pm
#		What tests of requests play on: a cluster with the extension, a partner, and a server named "partner" for it.
#
#   my $scene = Scene->new('replies');                  options: conf => text, options => further options of the server
#   $scene->sql('SELECT …')                             what psql prints; dies of an error
#   $scene->error('SELECT …')                           its error: "SQLSTATE: message", or '' if there is none
#   $scene->define($name, $json)                        the version
#   my $instance = $scene->start($name, {data}, $key)
#   $scene->finish($instance)                           blocks until it has ended or has an incident; the status
#   my ($instance, $status) = $scene->run($name, {data})
#   $scene->data($instance), ->history($instance, $step), ->incident($instance)
#   $scene->requests($instance), ->wait_for_requests($n, $instance)
#   $scene->let_go($instance)                           the partner answers what it has asked /held
#
# Tests give a request the header X-Instance (see HEADERS), so that those of one instance can be told from the others'.
#
package Scene;

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../partner";

use JSON::PP ();
use Partner;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);
use WorkflowTest;

use Exporter qw(import);
our @EXPORT = qw(blocked encoded gaps is_between median);

my $PATIENCE = 60;
my $json = JSON::PP->new->ascii->canonical->allow_nonref;
my $utf8 = JSON::PP->new->utf8->allow_nonref;

# What a definition's "headers" should hold, for requests() to know whose it is.
use constant HEADERS => '"X-Instance": "${$instance}", "X-Step": "${$step}"';

sub new
{
	my ($class, $name, %option) = @_;
	my $node = new_server($name, conf => $option{conf});
	my $self = bless { node => $node }, $class;
	$self->{partner} = Partner->start(psql => $node->connstr('postgres'));
	$self->server('partner', $self->{partner}->url, $option{options});
	return $self;
}

# Tests that are not about the breaker let as much fail as they like; when half of twenty visits fail within ten seconds, as it happens on
# a quick machine, others should not wait.
sub without_breaker
{
	my ($options) = @_;
	return $options if ($options // '') =~ /breaker/;
	return join(', ', grep { $_ } $options, "breaker 'off'");
}

sub node    { $_[0]{node} }
sub partner { $_[0]{partner} }
sub url     { $_[0]{partner}->url($_[1]) }

# A server that may reach the partner, with further options.
sub server
{
	my ($self, $name, $url, $options) = @_;
	my $more = ', ' . without_breaker($options);
	$self->sql("CREATE SERVER $name FOREIGN DATA WRAPPER workflow_http OPTIONS (url '$url', allow_private 'true'$more)");
}

sub sql
{
	my ($self, $sql) = @_;
	utf8::encode($sql);
	return $self->{node}->safe_psql('postgres', $sql);
}

sub error
{
	my ($self, $sql) = @_;
	utf8::encode($sql);
	my ($status, $stdout, $stderr) = $self->{node}->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $stderr =~ /ERROR:\s+(\w{5}): (.*)/ ? "$1: $2" : '';
}

# One JSON value, decoded.
sub json
{
	my ($self, $sql) = @_;
	my $text = $self->sql($sql);
	return $text eq '' ? undef : $utf8->decode($text);
}

sub quote
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	$text =~ s/'/''/g;
	return "'$text'";
}

sub define
{
	my ($self, $name, $definition) = @_;
	return $self->sql('SELECT workflow.define(' . quote($name) . ', ' . quote($definition) . ')');
}

sub start
{
	my ($self, $name, $data, $key) = @_;
	return $self->sql('SELECT workflow.start('
		  . join(', ', quote($name), quote($json->encode($data // {})), quote($key)) . ')');
}

sub finish
{
	my ($self, $instance) = @_;
	return $self->sql("CALL workflow.wait_for($instance, '$PATIENCE s')");
}

sub run
{
	my ($self, @start) = @_;
	my $instance = $self->start(@start);
	return ($instance, $self->finish($instance));
}

sub data
{
	my ($self, $instance) = @_;
	return $self->json("SELECT data FROM workflow.instances WHERE instance = $instance");
}

# Why an instance was aborted.
sub reason
{
	my ($self, $instance) = @_;
	return $self->json("SELECT error FROM workflow.instances WHERE instance = $instance");
}

# Ended visits in their order, or, with a step, its last one.
sub history
{
	my ($self, $instance, $step) = @_;
	my $rows = $self->json(
		"SELECT coalesce(json_agg(to_jsonb(h) || jsonb_build_object('began', extract(epoch FROM entered_at), "
		  . "'ended', extract(epoch FROM ended_at)) ORDER BY split_part(serial_number, '_', 2)::bigint), '[]') "
		  . "FROM workflow.history h WHERE instance = $instance");
	return @$rows unless defined $step;
	return (grep { $_->{step} eq $step } @$rows)[-1];
}

sub path
{
	my ($self, $instance) = @_;
	return join(' ', map { "$_->{step}:$_->{outcome}" } $self->history($instance));
}

sub incident
{
	my ($self, $instance) = @_;
	return $self->json("SELECT to_json(i) FROM workflow.incidents i WHERE instance = $instance");
}

sub visit
{
	my ($self, $instance) = @_;
	return $self->json("SELECT to_json(v) FROM workflow.visits v WHERE instance = $instance");
}

sub requests
{
	my ($self, $instance) = @_;
	return grep { ($_->{headers}{'x-instance'} // '') eq $instance } $self->{partner}->requests;
}

sub let_go { $_[0]{partner}->let_go($_[1]) }

sub wait_for_requests
{
	my ($self, $n, $instance) = @_;
	my $end = time() + $PATIENCE;
	my @requests;
	while ((@requests = $self->requests($instance)) < $n)
	{
		die "instance $instance has sent " . @requests . " requests, not $n\n" if time() > $end;
		sleep 0.02;
	}
	return @requests;
}

# Poll until the visit of an instance is in that state.
sub wait_for_state
{
	my ($self, $instance, $state) = @_;
	my $end = time() + $PATIENCE;
	my $visit;
	until (($visit = $self->visit($instance) // {}) && ($visit->{state} // '') eq $state)
	{
		die "instance $instance has no visit that is $state, but " . $json->encode($visit) . "\n" if time() > $end;
		sleep 0.02;
	}
	return $visit;
}

# Columns of the view servers.
sub server_row
{
	my ($self, $server, $columns) = @_;
	return $self->sql("SELECT $columns FROM workflow.servers WHERE server = '$server'");
}

# The serial number of its visit, or of that at a step.
sub serial
{
	my ($self, $instance, $step) = @_;
	return $self->sql("SELECT serial_number FROM workflow.visits WHERE instance = $instance" . (defined $step ? " AND step = '$step'" : ''));
}

# "step state, ...", by step, of what lives in an instance is soon as expected.
sub stands_soon
{
	my ($self, $instance, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_soon($self->node, 'postgres',
		"SELECT coalesce(string_agg(step || ' ' || state, ', ' ORDER BY step COLLATE \"C\"), '') FROM workflow.visits WHERE instance = $instance", $expected, $name);
	return;
}

# ---- texts ----

# For a URL; text as UTF-8.
sub encoded
{
	my ($text) = @_;
	utf8::encode($text) if utf8::is_utf8($text);
	$text =~ s/([^A-Za-z0-9])/sprintf('%%%02X', ord $1)/ge;
	return $text;
}

# The query that tells why the visit of an instance stands still.
sub blocked { return "SELECT blocked_by FROM workflow.visits WHERE instance = $_[0]" }

# ---- figures ----

# Seconds between requests.
sub gaps
{
	my (@requests) = @_;
	return map { $requests[$_]{time} - $requests[ $_ - 1 ]{time} } 1 .. $#requests;
}

sub is_between
{
	my ($value, $low, $high, $name) = @_;
	my $builder = Test::More->builder;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$builder->ok($value >= $low && $value <= $high, $name)
	  or $builder->diag(sprintf('%.4f is not between %.4f and %.4f', $value, $low, $high));
}

sub median
{
	my @sorted = sort { $a <=> $b } @_;
	return $sorted[ $#sorted / 2 ];
}

1;

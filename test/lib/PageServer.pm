#
# PageServer.pm
#		What stands between the page of docs/page and a database: a server of its files, and PostgREST for the schema workflow_page.
#
# POST /rpc/NAME with a JSON object calls workflow_page.NAME with its members as arguments, as the role that the token names ("Bearer ROLE"; PostgREST
# takes that out of a JWT), else as web_anon. The answer is what the function gives, as JSON; errors are {code, message, details, hint}, with the
# status that PostgREST makes of the SQLSTATE. GET /NAME gives a file of docs/page. A process for each connection.
#
#   my $server = PageServer->new($node, 'postgres');  $server->url
#
package PageServer;

use strict;
use warnings;

use parent 'Forked';

use JSON::PP ();
use Session;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

my %TYPES = (html => 'text/html; charset=utf-8', css => 'text/css', js => 'text/javascript');

# others are 500
my %STATUS = ('22' => 400, '23' => 409, '28' => 403, '40' => 500, '42501' => 403, '42883' => 404, '42P01' => 404, '42704' => 400, 'P0' => 400);

sub new
{
	my ($class, $node, $database) = @_;
	my $self = bless { node => $node, database => $database, owner => $$, port => 0 }, $class;
	$self->restart;
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}/" }

sub reply
{
	my ($connection, $status, $type, $body) = @_;
	print $connection "HTTP/1.1 $status Answered\r\nContent-Type: $type\r\nContent-Length: ", length $body,
	  "\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n", $body;
	close $connection;
}

sub _serve
{
	my ($self, $connection) = @_;
	my ($method, $path) = <$connection> =~ m{^(GET|POST) /([\w./-]*)(?:\?\S*)? HTTP};
	my %header;
	while ((my $line = <$connection>) =~ /^([^:\r\n]+):\s*(.*?)\r?\n/) { $header{ lc $1 } = $2 }
	read($connection, my $body = '', $header{'content-length'} // 0);
	return $self->call($connection, $1, $body, \%header) if ($method // '') eq 'POST' && $path =~ m{^rpc/(\w+)$};
	$path ||= 'index.html';
	return reply($connection, 404, 'text/plain', '') unless ($method // '') eq 'GET' && $path =~ /^\w+\.(html|css|js)$/;
	open my $file, '<:raw', "docs/page/$path" or return reply($connection, 404, 'text/plain', '');
	local $/;
	return reply($connection, 200, $TYPES{$1}, <$file>) if $path =~ /\.(\w+)$/;
}

# As PostgREST writes it: the members of the object are given by their names.
sub call
{
	my ($self, $connection, $name, $body, $header) = @_;
	return reply($connection, 406, 'application/json', '{"message": "the schema is not exposed"}') if ($header->{'content-profile'} // '') ne 'workflow_page';
	my $arguments = $json->decode($body);
	my ($role) = ($header->{authorization} // '') =~ /^Bearer (\w+)$/;
	$role //= 'web_anon';
	my @given;
	for my $key (sort keys %$arguments)
	{
		my $value = $arguments->{$key};
		my $text = ref $value eq 'JSON::PP::Boolean' ? ($value ? 'true' : 'false') : ref $value ? $json->encode($value) : $value;
		$text = $json->encode($value) if $key eq 'data';
		utf8::encode($text) if utf8::is_utf8($text);
		push @given, qq("$key" => ) . (defined $text ? "'" . ($text =~ s/'/''/gr) . "'" : 'NULL');
	}
	my $session = Session->new($self->{node}, $self->{database}, verbose => 1);
	my ($status, $out, $err) = $session->run('BEGIN', qq(SET LOCAL ROLE "$role"),
		"SELECT coalesce(to_json(workflow_page.$name(" . join(', ', @given) . '))::text, \'null\')', 'COMMIT');
	return reply($connection, 200, 'application/json', $out =~ s/\n\z//r) if $status == 0;
	my ($code, $message) = $err =~ /ERROR:\s+(\w{5}): (.*)/;
	my ($details) = $err =~ /^DETAIL:\s+(.*)/m;
	my ($hint) = $err =~ /^HINT:\s+(.*)/m;
	$code //= 'XX000';
	return reply($connection, $STATUS{$code} // $STATUS{ substr $code, 0, 2 } // 500, 'application/json',
		JSON::PP->new->canonical->encode({ code => $code, message => $message // $err, details => $details, hint => $hint }));
}

1;

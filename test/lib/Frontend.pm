#
# Frontend.pm
#		What stands between outside systems and a database: a proxy and PostgREST in one, as docs/webhooks.md and docs/from-automatiko.md set
#		them up.
#
# POST /workflow/(callback|heartbeat|start)/<token> is the proxy's: it hands the token over in a header, and the bytes that came, to
# /rpc/webhook_…
#
# /rpc/<function> is PostgREST's: a function of the schema workflow_api whose arguments are the keys of the body, or those of the query with GET;
# else, one whose only argument has no name and is a jsonb, for which the body is that;
# in a transaction that is read only for GET, and for functions that are not volatile. The role is the one that a JWT in Authorization names,
# else web_anon; the function finds the settings request.method, request.path and request.headers, and may set response.status and
# response.headers. An error is answered with the status of its SQLSTATE, which PTxyz names itself, and with
# {code, message, details, hint}; the message of PTxyz is in the line of the status, too, as it is. A process for each connection.
#
#   my $frontend = Frontend->new;                 it has its port from now on
#   $frontend->url                                what workflow.callback_base is to be
#   $frontend->base                               where PostgREST is
#   $frontend->serve($node, 'postgres')           once the database is there; ends with the object
#   my $status = $frontend->post("start/$token", $body, { 'X-Signature' => … })      a header with a list is sent several times
#   my $answer = $frontend->rpc('start', { process => … }, { 'X-ATK-Mode' => 'async' })      {status, reason, headers, content, json}
#   my $answer = $frontend->look('instance', { token => … })      the same with GET
#   Frontend::jwt('clerk')                        what Authorization has behind Bearer
#
package Frontend;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use POSIX ();
use Session;

my $ANON = 'web_anon';
my $SCHEMA = 'workflow_api';
my $SECRET = 'a secret of PostgREST, 32 bytes or more';
my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my %REASON = (200 => 'OK', 201 => 'Created', 202 => 'Accepted', 204 => 'No Content', 300 => 'Multiple Choices', 400 => 'Bad Request', 401 => 'Unauthorized',
	403 => 'Forbidden', 404 => 'Not Found', 405 => 'Method Not Allowed', 409 => 'Conflict', 413 => 'Request Entity Too Large',
	415 => 'Unsupported Media Type', 500 => 'Internal Server Error', 503 => 'Service Unavailable');

sub new
{
	my ($class) = @_;
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 64, ReuseAddr => 1) or die "no socket: $!\n";
	return bless { socket => $socket, owner => $$ }, $class;
}

sub base { return 'http://127.0.0.1:' . $_[0]{socket}->sockport }
sub url { return $_[0]->base . '/workflow' }

sub serve
{
	my ($self, $node, $database) = @_;
	$self->{pid} = fork() // die "could not fork: $!";
	return $self if $self->{pid} != 0;
	$SIG{CHLD} = 'IGNORE';
	$SIG{TERM} = sub { POSIX::_exit(0) };
	while (1)
	{
		my $connection = $self->{socket}->accept or next;
		if (fork() == 0)
		{
			my $answer = eval { answer($connection, $node, $database) } // { status => 500, content => $JSON->encode({ message => "$@" }) };
			print $connection packed($answer);
			POSIX::_exit(0);
		}
		close $connection;
	}
}

# ---- the answer ----

sub packed
{
	my ($answer) = @_;
	my $content = $answer->{content} // '';
	my @headers = @{ $answer->{headers} // [] };
	push @headers, [ 'Content-Type', 'application/json; charset=utf-8' ] if $content ne '';
	push @headers, [ 'Content-Length', length $content ] if $answer->{status} != 204;
	return join("\r\n", "HTTP/1.1 $answer->{status} " . ($answer->{reason} // $REASON{ $answer->{status} } // ''),
		(map { "$_->[0]: $_->[1]" } @headers), 'Connection: close', '', $content);
}

sub refused
{
	my ($status, $code, $message) = @_;
	return { status => $status, content => $JSON->encode({ code => $code, message => $message, details => undef, hint => undef }) };
}

# What PostgREST makes of an SQLSTATE.
sub status_of_error
{
	my ($code, $anonymous) = @_;
	return $1 if $code =~ /^PT(\d{3})$/;
	my %status = ('23503' => 409, '23505' => 409, '25006' => 405, '21000' => 500, '53400' => 500, '57P01' => 503, 'P0001' => 400, '42883' => 404,
		'42P01' => 404, '42P17' => 500, '42501' => $anonymous ? 401 : 403);
	my %class = (
		(map { $_ => 500 } qw(09 25 2D 38 39 3B 40 54 55 57 58 F0 HV P0 XX PT)), (map { $_ => 503 } qw(08 53)), (map { $_ => 403 } qw(0L 0P 28)));
	return $status{$code} // $class{ substr($code, 0, 2) } // 400;
}

sub failed
{
	my ($err, $anonymous) = @_;
	my ($code, $message) = $err =~ /^(?:psql:[^\n]*?: )?(?:ERROR|FATAL):  (\w{5}): (.*?)\n(?=[A-Z]+(?: \d+)?:  ?|\z)/ms or return { status => 503 };
	my ($details) = $err =~ /^DETAIL:  (.*?)\n(?=[A-Z]+:  |\z)/ms;
	my ($hint) = $err =~ /^HINT:  (.*?)\n(?=[A-Z]+:  |\z)/ms;
	my %content = (code => $code, message => $message, details => $details, hint => $hint);
	my $content = JSON::PP->new->canonical->encode(\%content); # bytes as they came
	return { status => status_of_error($code, $anonymous), content => $content, reason => $code =~ /^PT/ ? $message : undef };
}

# ---- the request ----

sub jwt
{
	my ($role) = @_;
	my $signed = encode_base64url('{"alg":"HS256","typ":"JWT"}') . '.' . encode_base64url($JSON->encode({ role => $role }));
	return "$signed." . encode_base64url(hmac_sha256($signed, $SECRET));
}

# The role of the request; undef: it is not allowed.
sub role_of
{
	my ($authorization) = @_;
	return $ANON unless defined $authorization;
	my ($signed, $claims, $mac) = $authorization =~ /^Bearer ([\w-]+\.([\w-]+))\.([\w-]+)$/i or return undef;
	return undef if $mac ne encode_base64url(hmac_sha256($signed, $SECRET));
	return eval { $JSON->decode(decode_base64url($claims))->{role} };
}

sub answer
{
	my ($connection, $node, $database) = @_;
	my ($method, $path, $query) = <$connection> =~ m{^(\w+) (/[^\s?]*)(?:\?(\S*))? HTTP} or return { status => 400 };
	my %header;
	while ((my $line = <$connection>) =~ /^([^:\r\n]+):\s*(.*?)\r?\n/)
	{
		# PostgREST makes a map of them
		$header{ lc $1 } = $2;
	}
	my $body = '';
	read($connection, $body, $header{'content-length'} // 0);
	if ($path =~ m{^/workflow/})
	{
		my ($function, $token) = $path =~ m{^/workflow/(callback|heartbeat|start)/([0-9]+(?:_[0-9]+)?\.[A-Za-z0-9_-]+)$} or return { status => 404 };
		return { status => 403 } if $method ne 'POST';
		$path = "/rpc/webhook_$function";
		@header{qw(x-workflow-token content-type)} = ($token, 'application/octet-stream');
	}
	my ($function) = $path =~ m{^/rpc/(\w+)$} or return refused(404, 'PGRST125', 'Invalid path specified in request URL');
	return refused(405, 'PGRST101', "Cannot use the $method method on RPC") unless $method =~ /^(GET|HEAD|POST)$/;
	my %request = (method => $method, path => $path, headers => \%header, function => $function, body => $body, role => role_of($header{authorization}));
	$request{arguments} = { map { map { tr/+/ /r =~ s/%(\w\w)/chr hex $1/ger } (split(/=/, $_, 2), '')[ 0, 1 ] } split /&/, $query // '' } if $method ne 'POST';
	return defined $request{role} ? call(Session->new($node, $database, verbose => 1), \%request) : refused(401, 'PGRST301', 'JWT cryptographic operation failed');
}

# ---- the call ----

sub quoted { return q[convert_from('\x] . unpack('H*', $_[0]) . q[', 'UTF8')] }

# The function whose arguments these are: its arguments as [name, type], is it volatile, does it return nothing, or a set?
sub function_of
{
	my ($session, $request, @keys) = @_;
	my ($status, $out, $err) = $session->run(
		q[SELECT json_build_object('volatile', p.provolatile = 'v', 'void', p.prorettype = 'void'::regtype, 'set', p.proretset, 'optional', p.pronargdefaults,
		  'arguments', (SELECT json_agg(json_build_array(p.proargnames[n + 1], p.proargtypes[n]::regtype::text) ORDER BY n)
						FROM generate_series(0, p.pronargs - 1) n)) FROM pg_proc p WHERE p.pronamespace = '] . $SCHEMA . q['::regnamespace AND p.proname = '] . "$request->{function}'");
	die $err if $status;
	my %key = map { $_ => 1 } @keys;
	my (@found, @all);
	for my $f (map { $JSON->decode($_) } split /\n/, $out)
	{
		my @arguments = @{ $f->{arguments} // [] };
		my $raw = ($request->{headers}{'content-type'} // '') =~ m{^application/octet-stream};
		my $takes_raw = @arguments == 1 && $arguments[0][1] eq 'bytea' && ($arguments[0][0] // '') eq '';
		next if $raw != $takes_raw;
		my $required = @arguments - $f->{optional};
		my %name = map { ($_->[0] // '') => 1 } @arguments;
		push @all, $f if takes_all($f) && $request->{method} eq 'POST';
		next if takes_all($f);
		push @found, $f if $raw || (!grep { !$name{$_} } @keys) && !grep { !$key{ $_->[0] } } @arguments[ 0 .. $required - 1 ];
	}
	return @found ? @found : @all;
}

# One that takes the body as it is.
sub takes_all { return @{ $_[0]{arguments} // [] } == 1 && $_[0]{arguments}[0][1] =~ /^jsonb?$/ && ($_[0]{arguments}[0][0] // '') eq '' }

sub call
{
	my ($session, $request) = @_;
	my $raw = ($request->{headers}{'content-type'} // '') =~ m{^application/octet-stream};
	my $arguments = $request->{arguments};
	if (!$arguments && !$raw)
	{
		return refused(415, 'PGRST102', 'Content-Type not acceptable') if $request->{body} ne '' && ($request->{headers}{'content-type'} // '') !~ m{^application/json\b};
		$arguments = $request->{body} eq '' ? {} : eval { $JSON->decode($request->{body}) };
		return refused(400, 'PGRST102', 'Empty or invalid json') unless ref $arguments eq 'HASH';
	}
	my ($f, @others) = function_of($session, $request, keys %{ $arguments // {} });
	return refused(404, 'PGRST202', "Could not find the function $SCHEMA.$request->{function} in the schema cache") unless $f;
	return refused(300, 'PGRST203', 'Could not choose the best candidate function') if @others;
	my @given = takes_all($f) ? () : grep { exists $arguments->{ $_->[0] } } $raw ? () : @{ $f->{arguments} // [] };
	my $source = $request->{method} eq 'POST' ? $request->{body} : $JSON->encode($arguments);
	my $call = takes_all($f) ? "$SCHEMA.$request->{function}(" . quoted($source) . '::jsonb)' : $raw ? "$SCHEMA.$request->{function}('\\x" . unpack('H*', $request->{body}) . "')"
	  : "$SCHEMA.$request->{function}(" . join(', ', map { qq["$_->[0]" => a."$_->[0]"] } @given) . ')';
	my $from = @given ? ' FROM json_to_record(' . quoted($source) . '::json) AS a(' . join(', ', map { qq["$_->[0]" $_->[1]] } @given) . ')' : '';
	my $anonymous = $request->{role} eq $ANON;
	my ($status, $out, $err) = $session->run(
		'BEGIN ' . ($request->{method} eq 'POST' && $f->{volatile} ? 'READ WRITE' : 'READ ONLY'),
		"SELECT set_config('search_path', '$SCHEMA, public', true), set_config('role', " . quoted($request->{role}) . ", true), set_config('request.method', '$request->{method}', true), "
		  . "set_config('request.path', " . quoted($request->{path}) . ", true), set_config('request.headers', " . quoted(JSON::PP->new->latin1->encode($request->{headers})) . ', true)');
	return refused(401, 'PGRST301', "role \"$request->{role}\" cannot be taken") if $status;
	($status, $out, $err) = $session->run($f->{set} ? "SELECT coalesce(json_agg(r), '[]') FROM (SELECT f.*$from" . ($from eq '' ? ' FROM ' : ', ') . "$call f) r" : "SELECT to_json($call)$from");
	return failed($err, $anonymous) if $status;
	my ($set, $settings) = $session->run(q[SELECT json_build_object('status', nullif(current_setting('response.status', true), ''), 'headers', nullif(current_setting('response.headers', true), '')::json)]);
	($status, undef, $err) = $session->run('COMMIT');
	return failed($err, $anonymous) if $status;
	return refused(500, 'PGRST111', 'response.headers guc must be a JSON array composed of objects with a single key and a string value') if $set;
	$settings = $JSON->decode($settings);
	my @headers = map { my ($name) = keys %$_; [ $name, JSON::PP->new->utf8->allow_nonref->decode(JSON::PP->new->utf8->allow_nonref->encode($_->{$name})) ] } @{ $settings->{headers} // [] };
	chomp $out;
	return { status => $settings->{status} // ($f->{void} ? 204 : 200), headers => \@headers, content => $f->{void} ? '' : $out eq '' ? 'null' : $out };
}

# ---- clients ----

sub post
{
	my ($self, $path, $body, $headers) = @_;
	my $response = HTTP::Tiny->new(timeout => 60)->post($self->url . "/$path", { content => $body, headers => $headers // {} });
	return $response->{status};
}

sub answered
{
	my ($response) = @_;
	$response->{json} = eval { $JSON->decode($response->{content}) };
	return $response;
}

sub rpc
{
	my ($self, $function, $arguments, $headers) = @_;
	my $content = ref $arguments ? $JSON->encode($arguments) : $arguments;
	return answered(HTTP::Tiny->new(timeout => 60)->post($self->base . "/rpc/$function", { content => $content, headers => { 'Content-Type' => 'application/json', %{ $headers // {} } } }));
}

sub look
{
	my ($self, $function, $arguments, $headers) = @_;
	my $query = HTTP::Tiny->new->www_form_urlencode($arguments // {});
	return answered(HTTP::Tiny->new(timeout => 60)->get($self->base . "/rpc/$function" . ($query ne '' ? "?$query" : ''), { headers => $headers // {} }));
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	kill 'TERM', $self->{pid};
	local $?;
	waitpid($self->{pid}, 0);
	$self->{pid} = undef;
}

sub DESTROY { $_[0]->stop }

1;

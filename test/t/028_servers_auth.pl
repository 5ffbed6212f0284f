#
# Credentials that are no header: a parameter of the query, secrets in files, client certificates, signatures. Each is what its owner
# has mapped, and is seen nowhere else.
#
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Certificates;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use IO::Socket::INET;
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX qw(mkfifo);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scene;
use Test::More;
use Time::HiRes qw(sleep time);
use WorkflowTest;

$ENV{MALLOC_PERTURB_} = 165;
my $scene = Scene->new('auth', conf => "log_statement = none\nlog_min_messages = debug5\nlog_min_error_statement = panic\n");
my $H = '"headers": {' . Scene::HEADERS . '}';
my $dir = PostgreSQL::Test::Utils::tempdir();

sub define_call
{
	my ($name, $path, $more) = @_;
	$scene->define($name, qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "$path", $H}, "save": {"reply": "\${\$reply.status}"})
		  . ($more ? ", $more" : '') . '}]}');
}

sub map_user
{
	my ($options, $server, $role) = @_;
	$server //= 'partner';
	$role //= 'CURRENT_USER';
	$scene->sql("DROP USER MAPPING IF EXISTS FOR $role SERVER $server; CREATE USER MAPPING FOR $role SERVER $server OPTIONS ($options)");
}

sub write_file
{
	my ($name, $text) = @_;
	open(my $file, '>:raw', "$dir/$name.new") or die "$dir/$name: $!";
	print $file $text;
	close $file;
	rename("$dir/$name.new", "$dir/$name");
	return "$dir/$name";
}

# The request that a process sends, which is to be answered
sub request_of
{
	my ($process, $data) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($instance, $status) = $scene->run($process, $data);
	is($status, 'completed', "$process is answered") or note(explain($scene->incident($instance)));
	return ($scene->requests($instance))[0];
}

# ---- query ----

define_call('call', '/ok');
define_call('with query', '/ok?a=1&b=2#part');
define_call('own parameter', '/ok?a=1&api_key=mine');
define_call('similar', '/ok?api_key2=x&xapi_key=y&a=api_key');
define_call('empty query', '/ok?');
define_call('unanswered', '/status/400');
define_call('pausing', '/status/503', '"retry": {"max": 9, "delay": "1 hour"}');
map_user("auth 'query', name 'api_key', value 'secret one&=#/\xfc'");
is_deeply(request_of('call')->{query}, { api_key => "secret one&=#/\xfc" }, 'a parameter of the query');
is_deeply(request_of('with query')->{query}, { a => 1, b => 2, api_key => "secret one&=#/\xfc" }, 'behind others');
is_deeply(request_of('own parameter')->{query}, { a => 1, api_key => 'mine' }, 'one of the step stands');
is(scalar keys %{ request_of('similar')->{query} }, 4, 'which others are not taken for');
is_deeply(request_of('empty query')->{query}, { api_key => "secret one&=#/\xfc" }, 'behind a question mark');
my ($instance) = $scene->run('unanswered');
is(($scene->requests($instance))[0]{query}{api_key}, "secret one&=#/\xfc", 'a request that is refused');
$instance = $scene->start('pausing');
my $serial = $scene->wait_for_state($instance, 'retrying')->{serial_number};
is($scene->sql("SELECT workflow.request('$serial')->>'url'"), $scene->url('/status/503'), 'a request is shown without it');
is(request_of('call')->{headers}{authorization}, undef, 'and nothing else');
$scene->sql('DROP USER MAPPING FOR CURRENT_USER SERVER partner');
is_deeply(request_of('call')->{query}, {}, 'dropped, it is gone');
like($scene->error("CREATE USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (auth 'query', name '', value 'x')"), qr/^22023/, 'it has a name');

# ---- files ----

my $file = write_file('password', "secret-two\n");
map_user("auth 'basic', user 'aladdin', password_file '$file'");
is(request_of('call')->{headers}{authorization}, 'Basic ' . encode_base64('aladdin:secret-two', ''), 'a password from a file');
write_file('password', "secret-three\r\n");
is(request_of('call')->{headers}{authorization}, 'Basic ' . encode_base64('aladdin:secret-three', ''), 'which is read at each use');
map_user("auth 'bearer', token_file '$file'");
is(request_of('call')->{headers}{authorization}, 'Bearer secret-three', 'a token');
map_user("auth 'header', name 'X-Key', value_file '$file'");
is(request_of('call')->{headers}{'x-key'}, 'secret-three', 'a header');
map_user("auth 'query', name 'key', value_file '$file'");
is(request_of('call')->{query}{key}, 'secret-three', 'a parameter');
write_file('password', "secret-four & more\nin two lines\n\n");
is(request_of('call')->{query}{key}, "secret-four & more\nin two lines\n", 'that may be anything');

# what cannot be used is an error that tells neither path nor content, and goes by `retry`
map_user("auth 'bearer', token_file '$file'");
mkfifo("$dir/pipe", 0600);
my $large = write_file('large', 's' x 65536 . "\n");
my $edge = write_file('edge', 's' x 65535 . "\n");
my $nul = write_file('nul', "secret-five\0");
my $empty = write_file('empty', "\n");
for (
	[ $file, qr/characters that an HTTP header cannot carry/, 'request' ], [ "$dir/nothing", qr/cannot be opened: No such file/, 'auth' ],
	[ $dir, qr/no regular file/, 'auth' ], [ "$dir/pipe", qr/no regular file/, 'auth' ], [ $large, qr/larger than 64 kB/, 'auth' ],
	[ $nul, qr/NUL/, 'auth' ], [ $empty, qr/is empty/, 'auth' ])
{
	my ($path, $message, $code) = @$_;
	$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (SET token_file '$path')");
	($instance) = $scene->run('call');
	my $error = $scene->incident($instance)->{error};
	like($error->{message}, $message, "a file that cannot be used: $message");
	is($error->{code}, $code, 'with a code');
	unlike($error->{message}, qr/\Q$dir\E|secret/, 'without path and content');
	is(scalar($scene->requests($instance)), 0, 'and nothing is sent');
}
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (SET token_file '$edge')");
is(length request_of('call')->{headers}{authorization}, length('Bearer ') + 65535, 'one of 64 kB can be');
$scene->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS (SET token_file '$dir/late')");
define_call('patient', '/ok', '"retry": {"max": 200, "delay": "100 ms"}');
define_call('named', '/ok', '"retry": {"max": 200, "delay": "100 ms", "on": "auth"}');
define_call('others', '/ok', '"retry": {"max": 200, "delay": "100 ms", "on": "connect"}');
my @patient = map { $scene->start($_) } 'patient', 'named';
$scene->wait_for_state($_, 'retrying') for @patient;
(undef, my $status) = $scene->run('others');
is($status, 'failed', 'where retry.on names others it is no reason to try again');
like($scene->json("SELECT error FROM workflow.attempts WHERE serial_number = '" . $scene->serial($patient[0]) . "' LIMIT 1")->{message}, qr/No such file/, 'each attempt is on record');
write_file('late', 'secret-six');
is($scene->finish($_), 'completed', 'until the file is there') for @patient;
is(($scene->requests($patient[1]))[0]{headers}{authorization}, 'Bearer secret-six', 'and then it is used');

# ---- who may name files ----

$scene->sql(q[CREATE ROLE author LOGIN; CREATE ROLE reader LOGIN; GRANT pg_read_server_files TO reader;
	GRANT USAGE ON SCHEMA workflow TO author, reader; GRANT EXECUTE ON FUNCTION workflow.define TO author, reader;
	GRANT USAGE ON FOREIGN SERVER partner TO author, reader]);
my $mapping = 'USER MAPPING FOR CURRENT_USER SERVER partner OPTIONS';
for ("auth 'bearer', token_file '$file'", "cert '$file'", "auth 'basic', user 'x', password 'y', cert '$file', key '$file'", "cert '$file', key_password_file '$file'")
{
	like($scene->error("SET ROLE author; CREATE $mapping ($_)"), qr/^42501/, "it needs a right: $_");
	is($scene->error("SET ROLE reader; CREATE $mapping ($_); DROP USER MAPPING FOR CURRENT_USER SERVER partner"), '', 'which pg_read_server_files gives');
}
$scene->sql("CREATE USER MAPPING FOR author SERVER partner OPTIONS (auth 'basic', user 'x', password_file '$file')");
like($scene->error("SET ROLE author; ALTER $mapping (SET user 'y')"), qr/^42501/, 'who has not got it changes nothing of one that has a file');
is($scene->error("SET ROLE author; ALTER $mapping (DROP user, DROP password_file, SET auth 'none')"), '', 'but may drop it');
for (
	"auth 'bearer', token_file 'relative'", "auth 'bearer', token 'x', token_file '/x'", "auth 'bearer', password_file '/x'",
	"key '/x'", "key_password 'x'", "cert 'x'", "auth 'sigv4', user 'x', password 'y'", "auth 'sigv4', user 'x', password 'y', scope ''",
	(map { "auth 'sigv4', user 'x', password 'y', scope '$_'" } ':', 'eu-central-1', 'aws:amz:eu-central-1', 'aws::eu-central-1:s3', 'aws:amz:a:b:c'),
	"auth 'query', name 'x'", "cert '/x', key_password E'a\\nb'")
{
	like($scene->error("CREATE USER MAPPING FOR PUBLIC SERVER partner OPTIONS ($_)"), qr/^22023/, "refused: $_");
}

# ---- client certificates ----

SKIP:
{
	my $nginx = Certificates::program('nginx');
	skip 'nginx and openssl are not there', 1 unless $nginx && Certificates::program('openssl');

	my $certificates = Certificates->new;
	my $c = $certificates->dir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	$certificates->authority('ca');
	$certificates->certificate('good', 'ca', 'IP:127.0.0.1');
	$certificates->certificate($_, 'ca', "DNS:$_.example") for 'one', 'two';
	$certificates->openssl("rsa -aes128 -passout pass:secret-seven -in two.key -out two.locked");
	append_to_file("$c/one.pem", slurp_file("$c/one.crt") . slurp_file("$c/one.key"));
	append_to_file("$c/nginx.conf", <<"EOC");
pid $c/nginx.pid;
error_log $c/error.log;
worker_processes 1;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $c/body;
    proxy_temp_path $c/proxy;
    fastcgi_temp_path $c/fastcgi;
    uwsgi_temp_path $c/uwsgi;
    scgi_temp_path $c/scgi;
    server {
        listen 127.0.0.1:$port ssl http2;
        ssl_certificate $c/good.crt;
        ssl_certificate_key $c/good.key;
        ssl_client_certificate $c/ca.crt;
        ssl_verify_client optional;
        location / { default_type application/json; return 200 '{"who": "\$ssl_client_s_dn", "verified": "\$ssl_client_verify"}'; }
    }
}
EOC
	system("$nginx -p $c -c $c/nginx.conf >>$c/nginx.log 2>&1") == 0 or die 'nginx: ' . slurp_file("$c/nginx.log");
	END { kill 'TERM', slurp_file("$c/nginx.pid") =~ /(\d+)/ if defined $c && -e "$c/nginx.pid" }
	sleep 0.02 until IO::Socket::INET->new("127.0.0.1:$port");

	$scene->server('secure', "https://127.0.0.1:$port", "ca '$c/ca.crt'");
	my $call = '{"steps": [{"step": "call", "http": {"server": "secure", "path": "/x"}, "save": {"reply": "${$reply.body}"}}]}';
	$scene->define('secure', $call);
	$scene->sql("GRANT USAGE ON FOREIGN SERVER secure TO author; SET ROLE author; SELECT workflow.define('the author''s', '$call')");
	my $who = sub {
		my ($process) = @_;
		my ($instance, $status) = $scene->run($process);
		return $status eq 'completed' ? $scene->data($instance)->{reply}{who} : $scene->incident($instance)->{error}{message};
	};
	is($who->('secure'), '', 'without a certificate');
	map_user("cert '$c/one.pem'", 'secure');
	is($who->('secure'), 'CN=one', 'with one, whose key is in the same file');
	map_user("auth 'bearer', token 'secret-eight', cert '$c/two.crt', key '$c/two.locked', key_password 'secret-seven'", 'secure', 'author');
	is($who->("the author's"), 'CN=two', 'another role has another, beside a token, whose key has a password');
	is($who->('secure'), 'CN=one', 'each goes by a connection of its own');
	# a connection that is open is not for one who does not know the password, or has another key
	map_user("cert '$c/two.crt', key '$c/two.locked', key_password 'wrong'", 'secure');
	like($who->('secure'), qr/^the client certificate cannot be used: /, 'a wrong password');
	map_user("cert '$c/two.crt', key '$c/two.locked'", 'secure');
	like($who->('secure'), qr/^the client certificate cannot be used: /, 'no password, which nobody is asked for');
	map_user("cert '$c/two.crt', key '$c/one.key'", 'secure');
	like($who->('secure'), qr/^the client certificate cannot be used: /, 'a key of another certificate');
	map_user("cert '$c/two.crt'", 'secure');
	like($who->('secure'), qr/: the file of option "cert" has no key, and there is no option "key"$/, 'no key');
	map_user("cert '$c/ca.key'", 'secure');
	like($who->('secure'), qr/^the client certificate cannot be used: /, 'what is no certificate');
	map_user("cert '$c/nothing'", 'secure');
	like($who->('secure'), qr/the file of option "cert" cannot be opened: No such file/, 'nothing');
	is($who->("the author's"), 'CN=two', 'which concerns nobody else');
	# a certificate is read at each use
	map_user("cert '$c/late.pem'", 'secure');
	append_to_file("$c/late.pem", slurp_file("$c/one.pem"));
	is($who->('secure'), 'CN=one', 'a file');
	append_to_file("$c/next.pem", slurp_file("$c/two.crt") . slurp_file("$c/two.key"));
	rename("$c/next.pem", "$c/late.pem");
	is($who->('secure'), 'CN=two', 'that has changed');
	$scene->sql('DROP USER MAPPING FOR CURRENT_USER SERVER secure');
	is($who->('secure'), '', 'without the mapping there is none again');
}

# ---- AWS signature, version 4 ----

define_call('signed', '/some/path?a=1');
$scene->define('signed post', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", "body": {"a": "\${\$.a}"}, $H}}]}));
map_user("auth 'sigv4', user 'AKID', password 'secret-nine', scope 'aws:amz:eu-central-1:execute-api', session_token 'secret-ten'");

# What the service makes of a request: is its signature that of the secret?
sub is_signed
{
	my ($request, $query, $name) = @_;
	my %header = %{ $request->{headers} };
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($day, $region, $service, $signed, $signature) =
	  ($header{authorization} // '') =~ m{^AWS4-HMAC-SHA256 Credential=AKID/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, SignedHeaders=(\S+), Signature=(\w+)$};
	return fail($name) || diag(explain($request)) unless defined $signature;
	is(join(';', grep { !defined $header{$_} } split /;/, $signed), '', "$name: all that is signed has come");
	my $canonical = join("\n", $request->{method}, $request->{path}, $query, (map { "$_:$header{$_}" } split /;/, $signed), '', $signed, sha256_hex(($request->{encoding} // '') eq 'base64' ? decode_base64($request->{body}) : $request->{body}));
	my $text = join("\n", 'AWS4-HMAC-SHA256', $header{'x-amz-date'}, "$day/$region/$service/aws4_request", sha256_hex($canonical));
	my $key = 'AWS4secret-nine';
	my $step = hmac_sha256($day, $key);
	$step = hmac_sha256($_, $step) for $region, $service, 'aws4_request';
	is($signature, hmac_sha256_hex($text, $step), $name) or diag($canonical);
	like($signed, qr/\bhost\b/, "$name: the host too");
}
my $request = request_of('signed');
is_signed($request, 'a=1', 'a request is signed');
is($request->{headers}{'x-amz-security-token'}, 'secret-ten', 'with the token of a session');
like($request->{headers}{authorization}, qr/x-amz-security-token/, 'which is signed, too');
is_signed(request_of('signed post', { a => 'b' }), '', 'and one with a body');
$scene->define('signed bytes', qq({"steps": [{"step": "call", "http": {"server": "partner", "path": "/ok", "multipart": {"a": {"bytes": "\\\\x00ff0a00"}}, $H}}]}));
is_signed(request_of('signed bytes'), '', 'whatever bytes that has');
$file = write_file('aws', 'secret-nine');
map_user("auth 'sigv4', user 'AKID', password_file '$file', scope 'aws:amz:eu-central-1:execute-api'");
$request = request_of('signed');
is_signed($request, 'a=1', 'by a secret in a file');
is($request->{headers}{'x-amz-security-token'}, undef, 'and without a session');
$scene->sql('DROP USER MAPPING FOR CURRENT_USER SERVER partner');
is(request_of('signed')->{headers}{authorization}, undef, 'dropped, nothing is signed');

# ---- nowhere else ----

my $pattern = 'secret(-(two|three|four|five|six|seven|eight|nine|ten)| one|%20one)|' . join('|', map { quotemeta encode_base64("aladdin:$_", '') } 'secret-two', 'secret-three');
my @relations = split /\n/, $scene->sql(q[SELECT c.oid::regclass FROM pg_class c WHERE relnamespace IN ('workflow'::regnamespace, 'workflow_data'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1]);
my @found = grep { $scene->sql("SELECT t::text FROM $_ t") =~ /$pattern/ } @relations;
is("@found", '', 'no secret is in any table or view');
is($scene->sql("SELECT count(*) FROM pg_stat_activity a WHERE a::text ~ 'secret-' AND pid <> pg_backend_pid()"), 0, 'nor in what the server shows of its processes');
ok(slurp_file($scene->node->logfile) !~ /$pattern/, 'nor in the log');

$scene->node->stop;
done_testing();

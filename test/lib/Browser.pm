#
# Browser.pm
#		A headless Chromium, which is told what to do through a pipe. Nothing but what the test serves is loaded.
#
#   my $path = Browser::path()                      where it is; undef: nowhere
#   my $browser = Browser->new($folder)             what it keeps is in that folder; ends with the object
#   $browser->go($url)
#   my $value = $browser->value('document.title')   of an expression, or of its promise
#   $browser->until('…')                            waits until it is true; dies of one that does not come to be
#   $browser->press('Tab'), ->type('text'), ->click('selector')
#   $browser->size(400, 800), ->dark(1), ->picture($file)
#   my @complaints = $browser->complaints           errors of scripts, and what the policy of a page has refused, since the last time
#
package Browser;

use strict;
use warnings;

use Fcntl qw(F_SETFD);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);

my $PATIENCE = 30;
my $json = JSON::PP->new->utf8->allow_nonref;

sub path
{
	my ($found) = grep { -x } map { my $folder = $_; map { "$folder/$_" } qw(chromium chromium-browser google-chrome) } split /:/, $ENV{PATH};
	return $found;
}

sub new
{
	my ($class, $folder) = @_;
	pipe(my $its_in, my $out) or die "no pipe: $!";
	pipe(my $in, my $its_out) or die "no pipe: $!";
	my $pid = fork() // die "could not fork: $!";
	if ($pid == 0)
	{
		POSIX::setpgid(0, 0);
		# it reads from 3 and writes to 4
		my @high = map { POSIX::dup2(fileno $_->[0], $_->[1]) && $_->[1] } [ $its_in, 60 ], [ $its_out, 61 ];
		POSIX::dup2($high[0], 3);
		POSIX::dup2($high[1], 4);
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', "$folder/browser.log";
		$ENV{HOME} = $folder;
		exec path(), '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
		  '--disable-dev-shm-usage', '--hide-scrollbars', "--user-data-dir=$folder/browser", '--remote-debugging-pipe', 'about:blank';
		die "no browser: $!";
	}
	close $its_in;
	close $its_out;
	$out->autoflush(1);
	my $self = bless { in => $in, out => $out, pid => $pid, owner => $$, id => 0, buffer => '', complaints => [] }, $class;
	my $target = $self->tell('Target.createTarget', url => 'about:blank')->{targetId};
	$self->{session} = $self->tell('Target.attachToTarget', targetId => $target, flatten => JSON::PP::true)->{sessionId};
	$self->tell($_) for qw(Page.enable Runtime.enable Log.enable);
	$self->size(1200, 900);
	return $self;
}

# ---- the protocol: messages with a NUL behind each ----

sub message
{
	my ($self, $end) = @_;
	my $length;
	while (($length = index $self->{buffer}, "\0") < 0)
	{
		my $set = '';
		vec($set, fileno $self->{in}, 1) = 1;
		die "the browser does not answer\n" if $end < time() || !select($set, undef, undef, $end - time());
		sysread($self->{in}, $self->{buffer}, 1 << 20, length $self->{buffer}) or die "the browser has ended\n";
	}
	my $message = substr $self->{buffer}, 0, $length + 1, '';
	return $json->decode(substr $message, 0, $length);
}

sub note_event
{
	my ($self, $event) = @_;
	my $params = $event->{params};
	if ($event->{method} eq 'Runtime.exceptionThrown')
	{
		my $details = $params->{exceptionDetails};
		push @{ $self->{complaints} }, $details->{exception}{description} // $details->{text};
	}
	elsif ($event->{method} eq 'Log.entryAdded' && $params->{entry}{level} eq 'error')
	{
		push @{ $self->{complaints} }, join ' ', grep { defined } @{ $params->{entry} }{qw(text url)};
	}
	elsif ($event->{method} eq 'Runtime.consoleAPICalled' && $params->{type} eq 'error')
	{
		push @{ $self->{complaints} }, join ' ', map { $_->{description} // $_->{value} // '' } @{ $params->{args} };
	}
}

sub tell
{
	my ($self, $method, %params) = @_;
	my $id = ++$self->{id};
	my %message = (id => $id, method => $method, params => \%params);
	$message{sessionId} = $self->{session} if defined $self->{session};
	print { $self->{out} } $json->encode(\%message) . "\0";
	my $end = time() + $PATIENCE;
	while (1)
	{
		my $answer = $self->message($end);
		if (!defined $answer->{id}) { $self->note_event($answer) if defined $answer->{method} }
		elsif ($answer->{id} == $id)
		{
			die "$method: $answer->{error}{message}\n" if $answer->{error};
			return $answer->{result};
		}
	}
}

# ---- what tests do ----

sub go { $_[0]->tell('Page.navigate', url => $_[1]); return }

sub value
{
	my ($self, $expression) = @_;
	my $answer = $self->tell('Runtime.evaluate', expression => $expression, awaitPromise => JSON::PP::true, returnByValue => JSON::PP::true);
	die "$expression: $answer->{exceptionDetails}{exception}{description}\n" if $answer->{exceptionDetails};
	return $answer->{result}{value};
}

sub until
{
	my ($self, $expression) = @_;
	my $end = time() + $PATIENCE;
	until (eval { $self->value($expression) })
	{
		die "never came: $expression\n" . ($self->value('document.body.innerText') // '') . "\n" if $end < time();
		sleep 0.05;
	}
	return 1;
}

my %KEYS = (Tab => [ 9, undef ], Enter => [ 13, "\r" ], Escape => [ 27, undef ], ' ' => [ 32, ' ' ], '/' => [ 191, '/' ]);

sub press
{
	my ($self, $key) = @_;
	my ($code, $text) = @{ $KEYS{$key} };
	my %event = (key => $key, windowsVirtualKeyCode => $code);
	$self->tell('Input.dispatchKeyEvent', type => defined $text ? 'keyDown' : 'rawKeyDown', %event, defined $text ? (text => $text) : ());
	$self->tell('Input.dispatchKeyEvent', type => 'keyUp', %event);
}

sub type { $_[0]->tell('Input.insertText', text => $_[1]); return }

sub click
{
	my ($self, $selector) = @_;
	my $quoted = $json->encode($selector);
	$self->until("document.querySelector($quoted) !== null");
	$self->value("document.querySelector($quoted).click()");
}

sub size
{
	my ($self, $width, $height) = @_;
	$self->tell('Emulation.setDeviceMetricsOverride', width => $width + 0, height => $height + 0, deviceScaleFactor => 1, mobile => JSON::PP::false);
}

sub dark
{
	my ($self, $dark) = @_;
	$self->tell('Emulation.setEmulatedMedia', features => [ { name => 'prefers-color-scheme', value => $dark ? 'dark' : 'light' } ]);
}

sub picture
{
	my ($self, $file) = @_;
	open my $out, '>:raw', $file or die "$file: $!";
	print $out decode_base64($self->tell('Page.captureScreenshot', format => 'png')->{data});
	close $out;
}

sub complaints
{
	my ($self) = @_;
	$self->value('1'); # what has come until now
	my @complaints = @{ $self->{complaints} };
	$self->{complaints} = [];
	return @complaints;
}

sub DESTROY
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	local ($?, $@);
	kill 'KILL', -$self->{pid};
	waitpid($self->{pid}, 0);
}

1;

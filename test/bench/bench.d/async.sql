SELECT workflow.start('nothing', '{"customer": "Ann Example", "amount": 5}', mode => 'async', callback_url => :callback_url);

"""Reports: what the ledger and the events add up to, live while a campaign sends.

Decides: what each figure counts, and which rows stand behind it. Every figure is counted by SQL over the
rows that its list shows, so the two cannot differ. It writes nothing.

accepted + deferred + rejected + uncertain + withdrawn + waiting = deliveries, and
deliveries + exclusions = candidates; bounced is a part of accepted. Machines' opens and clicks are left out.
"""

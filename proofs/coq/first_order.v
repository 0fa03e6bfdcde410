(******************************************************************************)
(* The first-order error: attention sees the image and its Laplacian.         *)
(*                                                                            *)
(* In words. Let e = exp(- alpha), between 0 and 1, let t be the target of a  *)
(* head, any point of the grid, and c the token nearest to it. The neighbours *)
(* of t are the tokens k with                                                 *)
(*   |k - t|^2 = |c - t|^2 + 1                                    neighbour   *)
(* On the canvas these are the tokens one step from t                         *)
(*                                   neighbour_on_canvas, laplacian_on_canvas *)
(* Off the canvas they are the tokens one step from c, along an axis on which *)
(* t does not leave the canvas                                    neighbourE  *)
(* There are at most 2 d of them                              neighbours_le   *)
(* The Laplacian of the image X is that of a graph, so it knows about borders *)
(*   (L X)(t) = sum over the neighbours k of t of X_k - X_c        laplacian  *)
(* Attention is the image, plus e times its Laplacian, and little else: if    *)
(* |X| <= B, then at every target                                             *)
(*   |G X(t) - X_c - e (L X)(t)| <= 8 d^2 e^2 B       smoothing_first_order   *)
(* where G X is the smoothed image of the smoothing identity. So for any      *)
(* convolution, on every canvas, for every query and output channel           *)
(*   |attention - convolution of X - e (convolution of L X, without bias)|    *)
(*   <= sum |W| * 8 d^2 e^2 B                           first_order_error     *)
(* That holds for all e between 0 and 1, and targets may lie off the canvas.  *)
(*                                                                            *)
(* Proof. A token other than c has a token one step away and nearer to t, and *)
(* at most 2 d tokens are one step from any: closer, degree_le. A step away   *)
(* from t takes a factor e or less. All tokens but c have, together, at most  *)
(* 2 d e, by the leak, so those that are not neighbours of t have at most     *)
(* mu <= (2 d e)^2                                                  beyond_le *)
(* c has the probability 1 - leak, a neighbour e (1 - leak). Less the image   *)
(* and the first order, there remains n e leak - mu at c, with n <= 2 d       *)
(* neighbours, - e leak at each of these, and mu elsewhere in all: in         *)
(* absolute values 2 max(n e leak, mu) <= 8 d^2 e^2                one_target *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers smoothing leak.
From Expressivity Require Import convergence worst_case.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Graph.
Variables (d : nat) (m : 'I_d -> nat).
Implicit Types (k c : token m) (t : point d) (a : 'I_d).

(* Tokens that differ do so along some axis. *)
Lemma tokens_differ k c : k != c -> exists a, k a != c a.
Proof.
move=> ne; have [a|same] := pickP (fun a => k a != c a); first by exists a.
by case/eqP: ne; apply/ffunP => a; apply/eqP; rewrite -[_ == _]negbK same.
Qed.

(* Tokens one step apart: they differ by 1, along one axis.                   *)
Definition adjacent k c := distance2 (position k) (position c) == 1%N.

Lemma distance2C (s t : point d) : distance2 s t = distance2 t s.
Proof. by apply: eq_bigr => a _; rewrite distnC. Qed.

Lemma adjacentC k c : adjacent k c = adjacent c k.
Proof. by rewrite /adjacent distance2C. Qed.

Lemma adjacentP k c : reflect
  (exists a, `|((k a : nat)%:Z - (c a : nat)%:Z)%R|%N = 1%N
             /\ forall x, x != a -> k x = c x)
  (adjacent k c).
Proof.
apply: (iffP eqP) => [one|[a [step same]]]; last first.
  rewrite /distance2 (bigD1 a)//= !mxE step big1// => x /same kc.
  by rewrite !mxE kc subrr.
have /tokens_differ[a ne_a] : k != c.
  by apply/eqP => kc; move: one; rewrite kc distance2_self.
move: one; rewrite /distance2 (bigD1 a)//= !mxE.
set y := `|_ - _|%N; have : (0 < y)%N by rewrite absz_gt0 subr_eq0 eqz_nat.
case step: y => [|[|//]]// _.
rewrite exp1n => -[/eqP]; rewrite sum_nat_eq0 => /forall_inP same.
exists a; split=> // x /same.
by rewrite !mxE expn_eq0 absz_eq0 subr_eq0 andbT eqz_nat => /eqP/val_inj.
Qed.

(* The next or the previous token of an axis. *)
Definition one_step n (up : bool) (i : 'I_n.+1) : 'I_n.+1 :=
  inord (if up then i.+1 else i.-1).

(* What is one step away is the next or the previous one. *)
Lemma step_to n (i j : 'I_n.+1) :
  `|((i : nat)%:Z - (j : nat)%:Z)%R|%N = 1%N -> j = one_step (i < j)%N i.
Proof.
by move/eqP; rewrite distn_eq1 /one_step; case: ifP => _ /eqP ->; rewrite inord_val.
Qed.

(* A step toward j, from any i but j itself. *)
Lemma step_toward n (i j : 'I_n.+1) (i' := one_step (i < j)%N i) : i != j ->
  `|((i' : nat)%:Z - (i : nat)%:Z)%R|%N = 1%N /\
  `|((i : nat)%:Z - (j : nat)%:Z)%R|%N = `|((i' : nat)%:Z - (j : nat)%:Z)%R|%N.+1.
Proof.
rewrite /i' /one_step -val_eqE /=; case: ltngtP => // [ij|ji] _.
  rewrite inordK ?(leq_ltn_trans ij)// distSn !distnEr ?(ltnW ij)//.
  by rewrite subnSK.
have i_gt0 : (0 < i)%N by apply: leq_ltn_trans ji.
have ji1 : (j <= i.-1)%N by rewrite -ltnS prednK.
rewrite inordK ?prednK ?(ltnW (ltn_ord i))// -{2 3}(prednK i_gt0) distnS.
by rewrite !distnEl ?leqW// subSn.
Qed.

(* A token has at most two neighbours along each axis. *)
Lemma degree_le k : (#|[pred c | adjacent k c]| <= 2 * d)%N.
Proof.
pose move (s : 'I_d * bool) : token m :=
  [ffun x => if x == s.1 then one_step s.2 (k x) else k x].
rewrite -[d in leqRHS]card_ord -card_bool mulnC -card_prod.
apply: leq_trans (leq_image_card move _); apply: subset_leq_card.
apply/subsetP => c /adjacentP[a [step same]]; apply/imageP.
exists (a, (k a < c a)%N) => //; apply/ffunP => x; rewrite ffunE /=.
by have [->|/same->//] := eqVneq x a; rewrite -step_to.
Qed.

(* A token k other than the one nearest to t has a neighbour nearer to t.     *)
Lemma closer t k : k != nearest m t ->
  exists2 k', adjacent k' k & (distance2 (position k') t < distance2 (position k) t)%N.
Proof.
set c := nearest m t => /tokens_differ[a ne_a].
pose k' : token m := [ffun x => if x == a then one_step (k x < c x)%N (k x) else k x].
have same x : x != a -> k' x = k x by rewrite ffunE => /negPf->.
have [step less] := step_toward ne_a.
have k'a : k' a = one_step (k a < c a)%N (k a) by rewrite ffunE eqxx.
exists k'; first by apply/adjacentP; exists a; rewrite k'a.
rewrite /distance2 (bigD1 a)//= [in leqRHS](bigD1 a)//= -addSn leq_add//.
  rewrite !mxE ltn_sqr (clamp_between (k a)) (clamp_between (k' a)).
  by rewrite ltn_add2l k'a; move: less; rewrite /c ffunE => ->.
by apply: leq_sum => x /same k'x; rewrite !mxE k'x.
Qed.

(* How much farther from t a step away from the token nearest to t leads.     *)
Lemma step_distance t k (c := nearest m t) : adjacent k c ->
  exists a, [/\ k a != c a, forall x, x != a -> k x = c x
    & distance2 (position k) t
      = (distance2 (position c) t + (2 * `|((c a : nat)%:Z - t 0 a)%R| + 1))%N].
Proof.
move=> /adjacentP[a [step same]]; exists a; split=> //.
  by apply/eqP => kc; move: step; rewrite kc subrr.
rewrite /distance2 (bigD1 a)//= [X in _ = (X + _)%N](bigD1 a)//= addnAC.
congr (_ + _)%N; last by apply: eq_bigr => x /same kx; rewrite !mxE kx.
rewrite !mxE (clamp_between (k a)); move: step; rewrite /c ffunE => ->.
by rewrite sqrnD muln1 addnAC -addnA.
Qed.

(* So it leads 1 farther or 3 or more, as a step is odd. *)
Lemma step_excess t k (c := nearest m t) :
    adjacent k c -> ((distance2 (position c) t).+1 < distance2 (position k) t)%N ->
  ((distance2 (position c) t).+2 < distance2 (position k) t)%N.
Proof.
move=> /step_distance[a [_ _ ->]]; rewrite -/c addn1.
case: `|_|%N => [|n _]; first by rewrite addn1 ltnn.
by rewrite mulnS !addnS !ltnS leq_addr.
Qed.

(* Cutting off changes what is out of range only. *)
Lemma clamp_exact n (x : int) :
  (`|((clamp n x : nat)%:Z - x)%R| == 0)%N = (0 <= x <= n%:Z).
Proof.
rewrite absz_eq0 subr_eq0; apply/eqP/idP => [<-|/andP[x_ge0 x_le]].
  by rewrite lez_nat -ltnS ltn_ord.
rewrite clampE min_l//; case: ifP => // x_le0.
by apply/eqP; rewrite eq_le x_ge0 x_le0.
Qed.

(* Neighbours of a target t, as seen from the token nearest to it.            *)
Definition neighbour t k :=
  distance2 (position k) t == (distance2 (position (nearest m t)) t).+1.

Lemma neighbour_on_canvas c k : neighbour (position c) k = adjacent k c.
Proof. by rewrite /neighbour nearest_position distance2_self. Qed.

Lemma neighbour_adjacent t k : neighbour t k -> adjacent k (nearest m t).
Proof.
set c := nearest m t => /eqP near.
have ne : k != c by apply/eqP => kc; move: near; rewrite kc => /n_Sn.
have := nearest_closer k t; rewrite /= near -/c -[leqRHS]addn1 leq_add2l => le1.
by apply/eqP/anti_leq; rewrite le1 distance2_gt0.
Qed.

Theorem neighbours_le t : (#|[pred k | neighbour t k]| <= 2 * d)%N.
Proof.
apply: leq_trans (degree_le (nearest m t)); apply: subset_leq_card.
by apply/subsetP => k /neighbour_adjacent; rewrite adjacentC.
Qed.

Theorem neighbourE t k (c := nearest m t) :
  neighbour t k
  = adjacent k c && [forall a, (k a != c a) ==> (0 <= t 0 a <= (m a)%:Z)].
Proof.
apply/idP/andP => [near|[adj /forallP inside]].
  have adj := neighbour_adjacent near; split=> //.
  apply/forallP => b; apply/implyP => differ.
  have [a [_ same far]] := step_distance adj.
  have -> : b = a by apply/eqP; apply: contraNT differ => /same->.
  rewrite -clamp_exact; move: near; rewrite /neighbour far addn1 addnS eqSS.
  by rewrite -[eqbRHS]addn0 eqn_add2l muln_eq0 ffunE.
have [a [differ _ far]] := step_distance adj.
have := implyP (inside a) differ; rewrite -clamp_exact => /eqP on_axis.
by rewrite /neighbour far ffunE on_axis muln0 add0n addn1.
Qed.

End Graph.

(* The graph Laplacian, at any point.                                         *)
Section Laplacian.
Variables (R : ringType) (d : nat) (m : 'I_d -> nat) (cin : nat).
Variable X : token m -> 'rV[R]_cin.

Definition laplacian (t : point d) : 'rV[R]_cin :=
  \sum_(k | neighbour t k) (X k - X (nearest m t)).

Theorem laplacian_on_canvas (c : token m) :
  laplacian (position c)
  = \sum_(k | distance2 (position k) (position c) == 1%N) (X k - X c).
Proof.
rewrite /laplacian nearest_position; apply: eq_bigl => k.
exact: neighbour_on_canvas.
Qed.

End Laplacian.

(* What is left of p_c y + e p_c S + F without y and the first order, if      *)
(* p_c = 1 - l, with n neighbours and mu beyond them.                         *)
Lemma regroup (R : comRingType) (n e l mu y S F : R) :
    l = n * e * (1 - l) + mu ->
  (1 - l) * y + e * (1 - l) * S + F - y - e * (S - n * y)
  = (n * e * l - mu) * y - e * l * S + F.
Proof.
move=> lE; have -> : n * e * l - mu = n * e - l.
  by rewrite {2}lE mulrBr mulr1 opprD addrA subKr.
rewrite !mulrBl mul1r [e * (1 - _)]mulrBr mulr1 mulrBl.
rewrite [e * (S - _)]mulrBr mulrA [e * n]mulrC !opprB !addrA.
by rewrite [LHS](ACl ((7 * 2) * 4 * 5 * (1 * 6) * (3 * 8)))%AC /= !subrr !addr0.
Qed.

Section OneTarget.
Variables (R : realFieldType) (e : R) (d : nat) (m : 'I_d -> nat) (t : point d).
Hypotheses (e_gt0 : 0 < e) (e_lt1 : e < 1).
Implicit Types (k : token m) (x : token m -> R).

Let e_ge0 : 0 <= e := ltW e_gt0.
Let c := nearest m t.
Let p : token m -> R := powers e t.
Let p_ge0 k : 0 <= p k := powers_ge0 e_gt0 t k.

(* Neither the token nearest to t nor a neighbour of t.                       *)
Definition beyond k :=
  ((distance2 (position c) t).+1 < distance2 (position k) t)%N.

(* So a sum over all tokens has three parts.                                  *)
Lemma sum_split x :
  \sum_k x k = x c + \sum_(k | neighbour t k) x k + \sum_(k | beyond k) x k.
Proof.
rewrite (bigD1 c)//= -addrA (bigID (neighbour t)) /=; congr (_ + (_ + _)).
  apply: eq_bigl => k; apply: andb_idl => near; apply/eqP => kc.
  by move: near; rewrite kc => /eqP/n_Sn.
apply: eq_bigl => k; rewrite /neighbour -/c /beyond.
have [->|ne] := eqVneq k c; first by rewrite ltnNge leqnSn.
rewrite ltn_neqAle eq_sym andbC.
rewrite (leq_trans _ (nearest_closer k t))//= -/c -[X in (X <= _)%N]addn1 leq_add2l.
exact: distance2_gt0.
Qed.

(* Whoever is n farther from t gets a factor e^n, or less.                    *)
Lemma powers_le k k' n :
  (distance2 (position k') t + n <= distance2 (position k) t)%N ->
  p k <= e ^+ n * p k'.
Proof.
move=> le; rewrite /p /powers /normalised mulrA -exprD addnC.
apply: ler_wpmul2r; last by rewrite ler_wiexpn2l// ltW.
by rewrite invr_ge0 sumr_ge0// => j _; rewrite exprn_ge0.
Qed.

Lemma powers_neighbour k : neighbour t k -> p k = e * p c.
Proof. by move=> /eqP near; rewrite /p /powers /normalised mulrA -exprS near. Qed.

(* Probabilities, that of the token nearest to t times e^2.                   *)
Definition damped k : R := if k == c then e ^+ 2 * p k else p k.

Lemma damped_ge0 k : 0 <= damped k.
Proof.
by rewrite /damped; case: ifP => _ //; apply: mulr_ge0 => //; apply: exprn_ge0.
Qed.

Lemma beyond_step k : beyond k -> exists2 k', adjacent k' k & p k <= e * damped k'.
Proof.
move=> far.
have ne : k != c by apply/eqP => kc; move: far; rewrite /beyond kc ltnNge leqnSn.
have [k' adj less] := closer ne; exists k' => //.
rewrite /damped; case: eqVneq => [k'c|_].
  rewrite mulrA -exprS; apply: powers_le; rewrite k'c addn3.
  by apply: step_excess => //; rewrite -/c -k'c adjacentC.
by rewrite -[X in X * _]expr1; apply: powers_le; rewrite addn1.
Qed.

Lemma beyond_damped : \sum_(k | beyond k) p k <= (2 * d)%:R * e * \sum_k damped k.
Proof.
apply: (@le_trans _ _ (\sum_(k | beyond k) \sum_(k' | adjacent k' k) e * damped k')).
  apply: ler_sum => k /beyond_step[k' adj le]; rewrite (bigD1 k')//=.
  by rewrite ler_paddr// sumr_ge0// => j _; rewrite mulr_ge0 ?damped_ge0.
rewrite (exchange_big_dep xpredT)//= mulr_sumr; apply: ler_sum => k' _.
rewrite -mulrA mulr_natl.
rewrite (eq_bigl (mem [pred k | beyond k && adjacent k' k]))// sumr_const.
apply: ler_wpmuln2l; first by rewrite mulr_ge0 ?damped_ge0.
apply: leq_trans (degree_le k'); apply: subset_leq_card.
by apply/subsetP => k /andP[].
Qed.

(* Two steps: the probability beyond the neighbours is of second order.       *)
Lemma beyond_le : \sum_(k | beyond k) p k <= ((2 * d)%:R * e) ^+ 2.
Proof.
apply: le_trans beyond_damped _.
have [d0|d_gt0] := posnP d.
  have -> : (2 * d)%:R = 0 :> R by rewrite d0.
  by rewrite !mul0r expr0n.
rewrite [leRHS]expr2; apply: ler_wpmul2l; first by rewrite mulr_ge0 ?ler0n.
have -> : \sum_k damped k = e ^+ 2 * p c + leak e m t.
  rewrite -(off_target e_gt0) (bigD1 c)//= /damped eqxx; congr (_ + _).
  by apply: eq_bigr => k /negPf->.
have p_le1 : p c <= 1 by rewrite -subr_ge0; apply: leak_ge0.
apply: (@le_trans _ _ (e ^+ 2 + leak_bound e d)).
  by rewrite ler_add ?leak_any_size// ler_pimulr ?exprn_ge0.
rewrite -ler_subr_addl ler_pdivr_mulr ?addr_gt0 ?ltr01// mulrBl.
rewrite [X in X - _]mulrDr mulr1 -addrA ler_addl subr_ge0 -[leRHS]mulrA -expr2 mulrC.
rewrite ler_wpmul2r ?exprn_ge0//.
by rewrite (@le_trans _ _ 2%:R)// ?ler_nat ?leq_pmulr// -[2%:R]/(1 + 1) ler_add2l ltW.
Qed.

(* What the neighbours lose to the leak is of second order, too.              *)
Lemma neighbours_leak :
  #|[pred k : token m | neighbour t k]|%:R * e * leak e m t <= ((2 * d)%:R * e) ^+ 2.
Proof.
rewrite expr2; apply: ler_pmul; rewrite ?mulr_ge0 ?ler0n ?leak_ge0 ?leak_saturation//.
by rewrite ler_wpmul2r// ler_nat neighbours_le.
Qed.

(* One target. The entries x_k are those of one channel of the image.         *)
Variables (x : token m -> R) (B : R).
Hypothesis x_le : forall k, `|x k| <= B.

Lemma one_target :
  `|\sum_k p k * x k - x c - e * (\sum_(k | neighbour t k) (x k - x c))|
  <= (8 * d ^ 2)%:R * e ^+ 2 * B.
Proof.
pose nu : R := #|[pred k : token m | neighbour t k]|%:R.
pose lambda := leak e m t; pose mu := \sum_(k | beyond k) p k.
pose S := \sum_(k | neighbour t k) x k; pose F := \sum_(k | beyond k) p k * x k.
have pc : p c = 1 - lambda by rewrite opprB addrC subrK.
have near_const (y : R) : \sum_(k : token m | neighbour t k) y = nu * y.
  by rewrite (eq_bigl (mem [pred k : token m | neighbour t k]))// sumr_const mulr_natl.
have mean : \sum_k p k * x k = p c * x c + e * p c * S + F.
  rewrite sum_split mulr_sumr; congr (_ + _ + _); apply: eq_bigr => k near.
  by rewrite powers_neighbour.
have leakE : lambda = nu * e * p c + mu.
  rewrite /lambda /leak -(powers_sum1 e_gt0 m t) -/p sum_split -/c.
  rewrite -addrA addrC addKr; congr (_ + _).
  rewrite -mulrA -near_const; apply: eq_bigr => k; exact: powers_neighbour.
have -> : \sum_k p k * x k - x c - e * (\sum_(k | neighbour t k) (x k - x c))
    = (nu * e * lambda - mu) * x c - e * lambda * S + F.
  by rewrite mean sumrB near_const pc; apply: regroup; rewrite -pc.
have B_ge0 : 0 <= B by apply: le_trans (x_le c).
have near_le : `|e * lambda * S| <= nu * e * lambda * B.
  have el_ge0 : 0 <= e * lambda by rewrite mulr_ge0// leak_ge0.
  rewrite normrM (ger0_norm el_ge0) -[nu * e * _]mulrA [nu * _]mulrC -[leRHS]mulrA.
  rewrite ler_wpmul2l// -near_const; apply: le_trans (ler_norm_sum _ _ _) _.
  exact: ler_sum.
have far_le : `|F| <= mu * B.
  rewrite /mu mulr_suml; apply: le_trans (ler_norm_sum _ _ _) _.
  by apply: ler_sum => k _; rewrite normrM ger0_norm ?ler_wpmul2l.
set first := nu * e * lambda in near_le *.
apply: (@le_trans _ _ ((`|first - mu| + first + mu) * B)).
  rewrite [leRHS]mulrDl (le_trans (ler_norm_add _ _))// ler_add//.
  rewrite [leRHS]mulrDl (le_trans (ler_norm_sub _ _))// ler_add//.
  by rewrite normrM ler_wpmul2l.
have -> : (8 * d ^ 2)%:R * e ^+ 2 = ((2 * d)%:R * e) ^+ 2 *+ 2.
  by rewrite exprMn -natrX expnMn -mulrnAl -mulrnA mulnAC.
apply: ler_wpmul2r => //.
have [le|lt] := leP mu first.
  by rewrite ger0_norm ?subr_ge0// addrAC subrK mulr2n ler_add// neighbours_leak.
by rewrite ler0_norm ?subr_le0 ?(ltW lt)// opprB subrK mulr2n ler_add// beyond_le.
Qed.

End OneTarget.

Section FirstOrder.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin : nat) (alpha B : R) (X : token m -> 'rV[R]_cin).
Hypotheses (X_le : bounded B X) (alpha_gt0 : 0 < alpha).

Let e := E (- alpha).

Theorem smoothing_first_order (t : point d) i :
  `|(smoothing E alpha X (real R t)
     - (nearest_extension X t + e *: laplacian X t)) 0 i|
  <= (8 * d ^ 2)%:R * e ^+ 2 * B.
Proof.
have e_lt1 : e < 1 by rewrite expo_lt1// oppr_lt0.
have := one_target t (expo_gt0 E _) e_lt1 (fun k => X_le k i).
congr (`|_| <= _); rewrite opprD addrA !mxE !summxE; congr (_ - _ - _ * _).
  by apply: eq_bigr => k _; rewrite mxE probability_powers.
by apply: eq_bigr => k _; rewrite !mxE.
Qed.

Variables (cout Dh : nat) (T : finType) (Delta : T -> point d).
Variables (Wval : T -> 'M[R]_(cin, Dh)) (Wout : T -> 'M[R]_(Dh, cout)).
Variables (u : 'rV[R]_(1 + d)) (bias : 'rV[R]_cout).

Let W tap := Wval tap *m Wout tap.

Theorem first_order_error x_q q o :
  `|(conv_attention E Delta Wval Wout u bias alpha X x_q q
     - convolution Delta W bias (nearest_extension X) q
     - e *: convolution Delta W 0 (laplacian X) q) 0 o|
  <= weight_sum W o * ((8 * d ^ 2)%:R * e ^+ 2 * B).
Proof.
pose corrected t := nearest_extension X t + e *: laplacian X t.
have linear : convolution Delta W bias corrected q
    = convolution Delta W bias (nearest_extension X) q
      + e *: convolution Delta W 0 (laplacian X) q.
  rewrite /convolution add0r scaler_sumr -addrA -big_split /=; congr (_ + _).
  by apply: eq_bigr => tap _; rewrite mulmxDl scalemxAl.
rewrite -addrA -opprD -linear conv_attention_smoothing mulr_suml.
by apply: convolution_error => tap i; apply: smoothing_first_order.
Qed.

End FirstOrder.
